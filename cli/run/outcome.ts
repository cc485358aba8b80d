import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import { summarizeApproval } from '../approval-view.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import type { Output } from '../output.ts';
import { showValue } from '../show-value.ts';
import { describeCost } from '../status-words.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeBytes, describeDuration } from '../times.ts';
import { describeAgain } from './again.ts';
import type { FollowOutcome } from './follow.ts';

export interface OutcomeOptions {
  runId: string;
  timeoutMs: number | null;
  /** `none`: lines or events were the data already, and the result is not mixed into them. */
  data: 'result' | 'none';
}

/** Says how following ended, and what to do next; the result is data, all else is talk. */
export async function tellOutcome(invocation: Invocation, outcome: FollowOutcome, options: OutcomeOptions): Promise<ExitCode> {
  const { output } = invocation;
  const { runId } = options;
  switch (outcome.kind) {
    case 'ended':
      return await tellEnd(invocation, outcome.run, options);
    case 'needs_people':
      tellNeed(output, outcome, options);
      return exitCodes.humanNeeded;
    case 'timed_out':
      output.say(`${runId} has not ended within ${describeDuration(options.timeoutMs ?? 0)}; it goes on.`);
      tellCommands(output, [
        ['come back', `kai run watch ${runId}`],
        ['what holds it up', `kai run why ${runId}`],
      ]);
      return exitCodes.waitTimedOut;
    case 'detached':
      output.say(`Left ${runId}; it goes on.`);
      tellCommands(output, [
        ['come back', `kai run watch ${runId}`],
        ['stop it', `kai run cancel ${runId}`],
      ]);
      return exitCodes.detached;
  }
}

/** Without a terminal the approvals' ids are the data: what a script needs to ask somebody. */
function tellNeed(output: Output, { run, approvals }: Extract<FollowOutcome, { kind: 'needs_people' }>, options: OutcomeOptions): void {
  const asked = output.terminal.input && output.terminal.talk;
  if (!asked) for (const approval of approvals) output.say(`\n${summarizeApproval(approval, Date.now())}\n`);
  if (options.data === 'result' && output.json) output.document({ ...run, openApprovals: approvals });
  else if (options.data === 'result' && !output.terminal.data) for (const approval of approvals) output.data(approval.id);
  const id = approvals[0]?.id;
  if (id === undefined) {
    output.say(`${run.id} waits for a person: ${visibleLine(run.waitingFor?.text ?? '')}`);
    tellCommands(output, [
      ['what it waits for', `kai run why ${run.id}`],
      ['then', `kai run watch ${run.id}`],
    ]);
    return;
  }
  output.say(`${run.id} waits for a decision.`);
  tellCommands(output, [
    ['read what it is about', `kai approval get ${id}`],
    ['decide', `kai approval approve ${id} (or deny)`],
    ['then', `kai run watch ${run.id}`],
  ]);
}

function tellCommands(output: Output, commands: [purpose: string, command: string][]): void {
  const width = Math.max(...commands.map(([purpose]) => purpose.length)) + 1;
  for (const [purpose, command] of commands) output.say(`  ${`${purpose}:`.padEnd(width)} ${command}`);
}

async function tellEnd(invocation: Invocation, run: Run, options: OutcomeOptions): Promise<ExitCode> {
  const { output } = invocation;
  const paint = run.status === 'succeeded' ? output.talkColours.green : output.talkColours.red;
  const took = run.finishedAt === null ? null : describeDuration(Date.parse(run.finishedAt) - Date.parse(run.createdAt));
  const facts = [took === null ? null : `in ${took}`, describeCost(run.costMicros, run.currency)].filter((fact) => fact !== null);
  output.say(`${paint(`${run.id} ${run.status}`)} ${facts.join(', ')}`.trimEnd());
  tellError(invocation, run);
  await tellArtifacts(invocation, run.id);
  if (options.data === 'result') {
    if (output.json) output.document(run);
    else if (run.status === 'succeeded' && run.output !== null) showValue(output, run.output);
  }
  // Where nobody sits there is nobody to offer it to.
  if (output.terminal.talk) output.say(output.talkColours.dim(describeAgain(run.id)));
  return exitCodeOfRun(run);
}

/** What went wrong, where, and what helps. */
export function tellError({ output }: Invocation, run: Run): void {
  if (run.error === null) return;
  const { red, green } = output.talkColours;
  const place = run.error.stepPath === null ? '' : `step ${visibleLine(run.error.stepPath)}: `;
  output.say(`${red('error:')} ${place}${visibleLine(run.error.message)} (${visibleLine(run.error.code)})`);
  if (run.error.fix !== null) output.say(`${green('fix:')} ${visibleLine(run.error.fix)}`);
}

async function tellArtifacts({ client, output }: Invocation, runId: string): Promise<void> {
  const { items, nextCursor } = await client.artifacts.list({ run: runId, limit: 10 });
  for (const artifact of items) {
    output.say(`artifact: ${visibleLine(artifact.name)} (${describeBytes(artifact.sizeBytes)})  kai artifact get ${artifact.id}`);
  }
  if (nextCursor !== null) output.say(`More artifacts: kai artifact list --run ${runId}`);
}

/** Of a run that may still go on: only one that has ended without success is a failure. */
export const exitCodeOfRun = (run: Run): ExitCode => (isFinalRunStatus(run.status) && run.status !== 'succeeded' ? exitCodes.runNotSucceeded : exitCodes.ok);
