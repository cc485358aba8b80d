import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { editArguments } from '#core/approval/edit.ts';
import { type Approval, approvalStatuses, type EditedArgument } from '#schemas/approval.ts';
import { jsonSchema } from '#schemas/json.ts';
import { describeApproval } from '../approval-view.ts';
import { confirmed } from '../confirm.ts';
import { requireOpen, sendDecision } from '../decide.ts';
import { exitCodes } from '../exit-codes.ts';
import { usageFault } from '../faults.ts';
import { parseJsonText, readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, type ListOptions, showPage } from '../lists.ts';
import { resolveApprovalId, resolveRunId } from '../short-ids.ts';
import { paintOfStatus } from '../status-words.ts';
import { describeInstant } from '../times.ts';
import { defineRules } from './approval-rules.ts';

interface DecideOptions {
  yes?: boolean;
  reason?: string;
  digest?: string;
  arguments?: string;
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
    const command = approval
      .command(decision)
      .summary(decision === 'approve' ? 'let the steps run with the input that is shown' : 'refuse')
      .argument('<id>', 'the approval')
      .option('-y, --yes', 'do not ask')
      .option('--reason <text>', 'kept on the record')
      .option('--digest <hex>', 'decide only if the digest is still this one')
      .action(async (id: string, options: DecideOptions) => {
        await decide(invocation, decision, id, options);
      });
    if (decision === 'approve') {
      command.option('--arguments <file>', 'approve these arguments in their place: JSON, a list of { stepPath, input }; - for standard input');
    }
  }
  defineDiscussion(approval, invocation);
  defineRules(approval.command('rule').summary('rules that approve calls of tools in nobody’s presence').helpCommand(false), invocation);
}

function defineDiscussion(approval: Command, invocation: Invocation): void {
  approval
    .command('claim')
    .summary('say that you look at it: meanwhile nobody else can approve')
    .argument('<id>', 'the approval')
    .option('--for <minutes>', 'how long', parseMinutes, 15)
    .action(async (id: string, options: { for: number }) => {
      const { client } = invocation;
      const claimed = await client.approvals.claim(await resolveApprovalId(client, id), options.for * 60_000);
      tell(invocation, claimed, `Yours until ${claimed.claim?.until ?? 'it is decided'}: ${claimed.id}`);
    });
  approval
    .command('release')
    .summary('end your claim; as an admin, anybody’s')
    .argument('<id>', 'the approval')
    .action(async (id: string) => {
      const { client } = invocation;
      const released = await client.approvals.release(await resolveApprovalId(client, id));
      tell(invocation, released, `Anybody who is asked may decide ${released.id} again.`);
    });
  approval
    .command('comment')
    .summary('add to the discussion; decides nothing')
    .argument('<id>', 'the approval')
    .argument('<text>', 'what you want to say')
    .action(async (id: string, text: string) => {
      const { client } = invocation;
      const commented = await client.approvals.comment(await resolveApprovalId(client, id), text);
      tell(invocation, commented, `Said so at ${commented.id}.`);
    });
}

function tell({ output }: Invocation, approval: Approval, text: string): void {
  if (output.json) output.document(approval);
  else output.say(text);
}

function parseMinutes(text: string): number {
  const minutes = Number(text);
  if (!Number.isInteger(minutes) || minutes < 1 || minutes > 1_440) throw new InvalidArgumentError('It must be a whole number of minutes from 1 to 1440.');
  return minutes;
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
  const edited = options.arguments === undefined ? undefined : await readArguments(invocation, options.arguments);
  const shown = withDigest(edited === undefined ? approval : withArguments(approval, edited), options.digest);
  if (options.yes !== true) {
    output.say(describeApproval(shown, output.talkColours, Date.now()));
    if (edited !== undefined) output.say('These arguments replace what was asked for; approvals that were given before no longer count.');
    const question = decision === 'approve' ? 'Approve exactly this?' : 'Deny it?';
    if (!(await confirmed(output, question, 'Decide without being asked: --yes, best with the --digest of what was read'))) {
      output.say('Nothing was decided.');
      invocation.exitCode = exitCodes.error;
      return;
    }
  }
  const decided = await sendDecision(invocation, shown, decision, options.reason, edited);
  tell(
    invocation,
    decided,
    `${decision === 'approve' ? 'Approved' : 'Denied'} ${approval.id}${stillNeeded(decided)}. Watch the run: kai run watch ${approval.runId}`,
  );
}

function stillNeeded({ status, required, approvedBy }: Approval): string {
  const missing = required - approvedBy;
  return status === 'open' ? `; ${missing} more ${missing === 1 ? 'person has' : 'people have'} to` : '';
}

async function readArguments(invocation: Invocation, path: string): Promise<EditedArgument[]> {
  const parsed = z.array(z.object({ stepPath: z.string(), input: jsonSchema })).safeParse(parseJsonText(await readTextFile(path, invocation.output), path));
  if (parsed.success) return parsed.data;
  throw usageFault(`${path} must be a list of { stepPath, input }.`, 'kai approval get ID --json shows the arguments to begin from.');
}

/** As they would be, for the person to see. What does not fit is refused by the server. */
function withArguments(approval: Approval, edited: EditedArgument[]): Approval {
  const edit = editArguments(approval.arguments, edited);
  return edit.ok ? { ...approval, arguments: edit.arguments } : approval;
}

/** The digest somebody read elsewhere (another terminal, a script) takes the place of the one just fetched: the server compares. */
function withDigest(approval: Approval, digest: string | undefined): Approval {
  if (digest === undefined) return approval;
  if (!/^[0-9a-f]{64}$/.test(digest)) throw usageFault('--digest takes the 64 hexadecimal digits that kai approval get shows.');
  return { ...approval, argumentsDigest: digest };
}
