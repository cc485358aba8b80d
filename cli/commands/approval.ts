import type { Command } from 'commander';
import { type Approval, approvalStatuses } from '#schemas/approval.ts';
import { describeApproval } from '../approval-view.ts';
import { confirmed } from '../confirm.ts';
import { requireOpen, sendDecision } from '../decide.ts';
import { exitCodes } from '../exit-codes.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, type ListOptions, showPage } from '../lists.ts';
import { resolveApprovalId, resolveRunId } from '../short-ids.ts';
import { paintOfStatus } from '../status-words.ts';
import { describeInstant } from '../times.ts';

interface DecideOptions {
  yes?: boolean;
  reason?: string;
  digest?: string;
}

export function defineApproval(approval: Command, invocation: Invocation): void {
  addListOptions(approval.command('list').summary('what waits for a decision'))
    .option('--all', 'decided and expired ones, too')
    .option('--run <id>', 'of this run')
    .action(async (options: ListOptions & { all?: boolean; run?: string }) => {
      await list(invocation, options);
    });
  approval
    .command('get')
    .summary('one approval: what would run, with which input')
    .argument('<id>', 'the approval')
    .action(async (id: string) => {
      const { output, client } = invocation;
      const found = await client.approvals.get(await resolveApprovalId(client, id));
      if (output.json) output.document(found);
      else output.data(describeApproval(found, output.dataColours, Date.now()));
    });
  for (const decision of ['approve', 'deny'] as const) {
    approval
      .command(decision)
      .summary(decision === 'approve' ? 'let the steps run with the input that is shown' : 'refuse')
      .argument('<id>', 'the approval')
      .option('-y, --yes', 'do not ask')
      .option('--reason <text>', 'kept on the record')
      .option('--digest <hex>', 'decide only if the digest is still this one')
      .action(async (id: string, options: DecideOptions) => {
        await decide(invocation, decision, id, options);
      });
  }
}

async function list(invocation: Invocation, options: ListOptions & { all?: boolean; run?: string }): Promise<void> {
  const { client, output } = invocation;
  const { all, run, ...page } = options;
  const now = Date.now();
  const runId = run === undefined ? undefined : await resolveRunId(client, run);
  const [open] = approvalStatuses;
  showPage(invocation, await client.approvals.list({ ...page, run: runId, status: all === true ? undefined : open }), {
    headings: ['ID', 'STATUS', 'RUN', 'STEP', 'FROM', 'ASKED', 'EXPIRES'],
    row: (item) => [
      item.id,
      { text: item.status, paint: paintOfStatus(item.status, output.dataColours) },
      item.runId,
      item.path,
      item.from,
      describeInstant(item.createdAt, now),
      item.expiresAt === null ? 'never' : describeInstant(item.expiresAt, now),
    ],
    empty: all === true ? 'No approval has been asked for yet.' : 'Nothing waits for a decision.',
  });
}

async function decide(invocation: Invocation, decision: 'approve' | 'deny', given: string, options: DecideOptions): Promise<void> {
  const { client, output } = invocation;
  const approval = await client.approvals.get(await resolveApprovalId(client, given));
  requireOpen(approval);
  const shown = withDigest(approval, options.digest);
  if (options.yes !== true) {
    output.say(describeApproval(shown, output.talkColours, Date.now()));
    const question = decision === 'approve' ? 'Approve exactly this?' : 'Deny it?';
    if (!(await confirmed(output, question, 'Decide without being asked: --yes, best with the --digest of what was read'))) {
      output.say('Nothing was decided.');
      invocation.exitCode = exitCodes.error;
      return;
    }
  }
  const decided = await sendDecision(invocation, shown, decision, options.reason);
  if (output.json) output.document(decided);
  else output.say(`${decision === 'approve' ? 'Approved' : 'Denied'} ${approval.id}. Watch the run: kai run watch ${approval.runId}`);
}

/** The digest somebody read elsewhere (another terminal, a script) takes the place of the one just fetched: the server compares. */
function withDigest(approval: Approval, digest: string | undefined): Approval {
  if (digest === undefined) return approval;
  if (!/^[0-9a-f]{64}$/.test(digest)) throw usageFault('--digest takes the 64 hexadecimal digits that kai approval get shows.');
  return { ...approval, argumentsDigest: digest };
}
