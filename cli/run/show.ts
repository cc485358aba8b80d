import type { Explanation } from '#core/engine/explain.ts';
import { isFinalRunStatus, type Run, type WaitingFor } from '#schemas/run.ts';
import type { Invocation } from '../invocation.ts';
import { describeFields, showValue } from '../show-value.ts';
import { describeCost, paintOfStatus } from '../status-words.ts';
import { visibleLine, visibleText } from '../terminal-text.ts';
import { describeDuration, describeInstant } from '../times.ts';
import { describeAgain } from './again.ts';
import { readTree } from './follow.ts';
import { sourceOfReuse } from './reuse.ts';
import { renderSteps } from './tree-view.ts';

/** `run get`: the run's facts, then its steps. */
export async function showRun(invocation: Invocation, run: Run): Promise<void> {
  const { client, output } = invocation;
  if (output.json) {
    output.document(run);
    return;
  }
  const colours = output.dataColours;
  const now = Date.now();
  const tree = await readTree(client, run);
  output.data(describeFields(fieldsOfRun(run, now, paintOfStatus(run.status, colours))));
  output.data('');
  output.data(renderSteps(tree, { colours, columns: output.terminal.data ? process.stdout.columns : 200, rows: null, now }));
  if (tree.hasSubRuns) await showSubRuns(invocation, run);
  if (run.output !== null) output.say(colours.dim(`\nIts result: kai run result ${run.id}`));
  if (isFinalRunStatus(run.status)) output.say(colours.dim(describeAgain(run.id)));
}

const subRunsShown = 20;

/** The runs that its steps have started, the newest first. */
async function showSubRuns({ client, output }: Invocation, run: Run): Promise<void> {
  const { items, nextCursor } = await client.runs.list({ parent: run.id, limit: subRunsShown });
  if (items.length === 0) return;
  const colours = output.dataColours;
  output.data('');
  for (const { id, calledFrom, plan, status, waitingFor, error } of items) {
    const detail = error?.message ?? waitingFor?.text ?? '';
    output.data(
      `  ${visibleLine(calledFrom ?? '')}  ${id}  ${plan.name}@${plan.version}  ${paintOfStatus(status, colours)(status)}  ${visibleLine(detail)}`.trimEnd(),
    );
  }
  if (nextCursor !== null) output.say(colours.dim(`More of them: kai run list --parent ${run.id}`));
}

function fieldsOfRun(run: Run, now: number, paint: (text: string) => string): (readonly [string, string | null])[] {
  const end = run.finishedAt === null ? now : Date.parse(run.finishedAt);
  const { error, waitingFor } = run;
  return [
    ['run', run.id],
    ['plan', `${run.plan.name}@${run.plan.version}`],
    ['status', paint(run.status)],
    ['waits for', waitingFor === null ? null : describeWait(waitingFor, now)],
    [
      'error',
      error === null
        ? null
        : `${error.stepPath === null ? '' : `step ${visibleLine(error.stepPath)}: `}${visibleText(error.message)} (${visibleLine(error.code)})`,
    ],
    ['fix', error?.fix === null || error === null ? null : visibleLine(error.fix)],
    ['on failure', run.onFailure === null ? null : describeHandling(run.onFailure)],
    ['input', visibleLine(JSON.stringify(run.input))],
    [
      'labels',
      Object.entries(run.labels)
        .map(([name, value]) => `${name}=${visibleLine(value)}`)
        .join(' '),
    ],
    ['started by', `${run.startedBy} (${run.origin.kind})`],
    ['created', describeInstant(run.createdAt, now)],
    [run.finishedAt === null ? 'runs for' : 'took', run.startedAt === null ? null : describeDuration(end - Date.parse(run.startedAt))],
    ['cost', describeCost(run.costMicros, run.currency)],
    ['called from', run.parentRunId === null ? null : `${run.calledFrom ?? ''} (${run.parentRunId})`],
    ['cancel asked', run.cancelRequestedAt === null || run.finishedAt !== null ? null : describeInstant(run.cancelRequestedAt, now)],
    ['undoes', run.ending === null || run.finishedAt !== null ? null : `what its steps did, and then ends: ${describeEnding(run.ending)}`],
    ['cache', run.cache ? null : 'not used: every step does its work'],
    ['pinned', run.pinned ? 'yes: it is never pruned' : null],
  ];
}

const describeHandling = ({ runId, error }: NonNullable<Run['onFailure']>): string =>
  runId ?? `nothing was started: ${visibleText(error?.message ?? '')} (${visibleLine(error?.code ?? '')})`;

const describeEnding = (ending: NonNullable<Run['ending']>): string => (ending === 'timed_out' ? 'failed, for its time is over' : ending);

function describeWait({ text, until }: WaitingFor, now: number): string {
  return until === null ? visibleLine(text) : `${visibleLine(text)} (ends ${describeInstant(until, now)})`;
}

/** `run get --step`: one step with its whole output. */
export async function showStep({ client, output }: Invocation, runId: string, path: string): Promise<void> {
  const [step] = (await client.runs.steps(runId, { path })).items;
  if (step === undefined) return;
  if (output.json) {
    output.document(step);
    return;
  }
  const now = Date.now();
  const { error } = step;
  output.say(
    describeFields([
      ['step', visibleLine(step.path)],
      ['kind', step.kind],
      ['status', paintOfStatus(step.status, output.talkColours)(step.status)],
      ['attempt', String(step.attempt)],
      ['waits for', step.waitingFor === null ? null : visibleLine(step.waitingFor.text)],
      ['error', error === null ? null : `${visibleText(error.message)} (${visibleLine(error.code)})`],
      ['fix', error?.fix === null || error === null ? null : visibleLine(error.fix)],
      ['took', step.startedAt === null ? null : describeDuration((step.finishedAt === null ? now : Date.parse(step.finishedAt)) - Date.parse(step.startedAt))],
      ['reused from', sourceOfReuse(step.metadata['reusedFrom'])],
      ['metadata', Object.keys(step.metadata).length === 0 ? null : visibleLine(JSON.stringify(step.metadata))],
    ]),
  );
  if (step.output !== undefined && step.output !== null) showValue(output, step.output);
}

/** `run why`: what blocks each unfinished step, since when, until when, and what helps. */
export function showExplanation({ output }: Invocation, explanation: Explanation): void {
  if (output.json) {
    output.document(explanation);
    return;
  }
  const colours = output.dataColours;
  const now = Date.now();
  if (explanation.reasons.length === 0) {
    output.data(`${explanation.runId} is ${explanation.status}: nothing is unfinished.`);
    return;
  }
  output.data(`${explanation.runId} is ${explanation.status}.`);
  for (const reason of explanation.reasons) {
    const since = reason.since === null ? null : `for ${describeDuration(now - Date.parse(reason.since))}`;
    const until = reason.until === null ? null : `ends ${describeInstant(reason.until, now)}`;
    const times = [since, until].filter((time) => time !== null).join(', ');
    output.data('');
    output.data(
      `${colours.bold(reason.stepPath === null ? 'the run' : visibleLine(reason.stepPath))} ${visibleLine(reason.status)}: ${visibleLine(reason.blockedBy.text)}${times === '' ? '' : ` (${times})`}`,
    );
    output.data(`  ${visibleText(reason.unblocks)}`);
    if (reason.command !== null) output.data(`  ${colours.green(visibleLine(reason.command))}`);
  }
}

/** `run result`: the output as data. */
export function showResult({ output }: Invocation, run: Run): void {
  if (output.json) output.document(run.output);
  else if (run.output === null) output.say(`The plan ${run.plan.name} has no output. What it has produced: kai artifact list --run ${run.id}`);
  else showValue(output, run.output);
}
