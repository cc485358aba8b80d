import type { DebuggedExecution, DebugFailure, PendingActivity, Poller, RunDebug } from '#schemas/debug.ts';
import type { Invocation } from '../invocation.ts';
import type { Colours } from '../output.ts';
import { visibleLine, visibleText } from '../terminal-text.ts';
import { clockTime, describeBytes } from '../times.ts';

/** `run debug`: what Temporal holds of a run at this moment. */
export async function showDebug({ client, output }: Invocation, runId: string): Promise<void> {
  const debug = await client.runs.debug(runId);
  if (output.json) {
    output.document(debug);
    return;
  }
  if (debug.state !== 'kept') output.say(debug.text);
  else output.data(describeDebug(debug, output.dataColours).join('\n'));
  if (!debug.opened) output.say('Messages, stacks and names of workers need the permission history:read; what you see are codes.');
}

const describeDebug = ({ pollers, executions }: RunDebug, colours: Colours): string[] => [
  describePollers('decisions', pollers.workflows),
  describePollers('activities', pollers.activities),
  ...executions.flatMap((execution) => ['', ...describeExecution(execution, colours)]),
];

function describePollers(what: string, pollers: readonly Poller[]): string {
  if (pollers.length === 0) return `pollers for ${what}: none`;
  const named = pollers.map(({ identity, lastSeenAt }) => `${visibleLine(identity ?? 'a worker')} (${lastSeenAt === null ? 'never' : clockTime(lastSeenAt)})`);
  return `pollers for ${what}: ${named.join(', ')}`;
}

function describeExecution(execution: DebuggedExecution, colours: Colours): string[] {
  const { workflowId, type, status, historyEvents, historyBytes, pendingActivities, pendingChildren, workflowTask, workflowTaskFailures, callStack } =
    execution;
  const size = `${historyEvents} ${historyEvents === 1 ? 'event' : 'events'}, ${describeBytes(historyBytes)}`;
  const task = workflowTask === null ? [] : [`  decision ${workflowTask.state}, attempt ${workflowTask.attempt}`];
  return [
    `${colours.bold(visibleLine(workflowId))}  ${visibleLine(type)}  ${status}  ${colours.dim(size)}`,
    ...task,
    ...pendingActivities.flatMap((activity) => describeActivity(activity, colours)),
    ...pendingChildren.map((child) => `  child ${visibleLine(child.workflowId)}  ${visibleLine(child.type)}`),
    ...workflowTaskFailures.flatMap(({ at, eventId, cause, failure }) => [
      `  ${colours.red(`decision failed: ${cause}`)}  ${colours.dim(`${clockTime(at)}, event ${eventId}`)}`,
      ...describeFailures(failure),
    ]),
    ...(callStack.state === 'unanswered' ? ['  call stack: no worker answered'] : []),
    ...(callStack.text === null || callStack.text === '' ? [] : ['  call stack:', ...indented(callStack.text)]),
  ];
}

function describeActivity({ activityId, type, steps, state, attempt, nextAttemptAt, lastWorker, lastFailure }: PendingActivity, colours: Colours): string[] {
  const next = nextAttemptAt === null ? '' : `, again at ${clockTime(nextAttemptAt)}`;
  const worker = lastWorker === null ? '' : `  ${colours.dim(visibleLine(lastWorker))}`;
  const about = steps.length === 0 ? '' : `  ${visibleLine(steps.join(', '))}`;
  return [`  activity ${visibleLine(activityId)} ${visibleLine(type)}${about}  ${state}, attempt ${attempt}${next}${worker}`, ...describeFailures(lastFailure)];
}

const describeFailures = (failures: readonly DebugFailure[]): string[] =>
  failures.map(
    ({ code, message }, depth) => `    ${depth === 0 ? '' : 'because of '}${visibleLine(code)}${message === null ? '' : `: ${visibleLine(message)}`}`,
  );

const indented = (text: string): string[] =>
  visibleText(text)
    .split('\n')
    .map((line) => `    ${line}`);
