import type { DebuggedExecution, DebugFailure, PendingActivity, Poller, RunDebug, WorkflowTaskFailure } from '#schemas/debug.ts';
import type { Database } from '#services/database/connect.ts';
import type { DescribedExecution } from '#services/temporal/debug-door.ts';
import { workflowTaskFailure } from '#services/temporal/failure-links.ts';
import type { HistoryDoor, HistoryEvent, HistoryPlace } from '#services/temporal/history-door.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeRunWorkflowId, runIdOfWorkflow } from '#workflows/ids.ts';
import { absence } from './history.ts';
import { readRun } from './read.ts';
import { keyOf, placesIn, readPaths, type StepPlace } from './step-places.ts';

export interface DebugRequest {
  workspaceId: string;
  runId: string;
  /** The reader has `history:read`: messages, stacks and workers' names are theirs to see; else codes alone. */
  open: boolean;
}

type Doors = Pick<RunWorkflows, 'debug' | 'history'>;

/** What Temporal holds of a run at this moment: what is pending, how often it was tried, and why it failed. Throws KosError `run_not_found`, `temporal_unavailable`. */
export async function debugRun(database: Database, doors: Doors, request: DebugRequest): Promise<RunDebug> {
  const { workspaceId, runId, open } = request;
  const run = await database.inWorkspace(workspaceId, (transaction) => readRun(transaction, runId));
  const own = await doors.debug.describe(makeRunWorkflowId(runId));
  if (own === null) return { runId, ...absence(run), opened: open, pollers: { workflows: [], activities: [] }, executions: [] };
  const children = own.pendingChildren.filter(({ workflowId }) => workflowId !== own.workflowId && runIdOfWorkflow(workflowId) === runId);
  const windows = await Promise.all(children.map(({ workflowId }) => doors.debug.describe(workflowId)));
  const look = (described: DescribedExecution): Promise<DebuggedExecution> => lookInto(database, doors, described, request);
  const [executions, workflows, activities] = await Promise.all([
    Promise.all([own, ...windows.filter((window) => window !== null)].map(look)),
    doors.debug.pollers(own.taskQueue, 'workflows'),
    doors.debug.pollers(own.taskQueue, 'activities'),
  ]);
  return {
    runId,
    state: 'kept',
    text: 'Temporal knows this run.',
    opened: open,
    pollers: { workflows: workflows.map((poller) => showPoller(poller, open)), activities: activities.map((poller) => showPoller(poller, open)) },
    executions,
  };
}

async function lookInto(database: Database, doors: Doors, described: DescribedExecution, request: DebugRequest): Promise<DebuggedExecution> {
  const { taskQueue: _taskQueue, pendingActivities, ...facts } = described;
  const [recent, callStack] = await Promise.all([readRecent(doors.history, described), readCallStack(doors, described, request.open)]);
  const paths = await readPaths(database, request.workspaceId, request.runId, [...recent.places.values()].flat());
  const stepsOf = ({ activityId }: { activityId: string }): string[] =>
    (recent.places.get(activityId) ?? []).map((place) => paths.get(keyOf(place))).filter((path) => path !== undefined);
  return {
    ...facts,
    pendingActivities: pendingActivities.map((activity) => showActivity({ ...activity, steps: stepsOf(activity) }, request.open)),
    workflowTaskFailures: recent.failures.map((failure) => ({ ...failure, failure: showFailures(failure.failure, request.open) })),
    callStack,
  };
}

async function readCallStack({ debug }: Doors, { workflowId, status }: DescribedExecution, open: boolean): Promise<DebuggedExecution['callStack']> {
  if (status !== 'running') return { state: 'closed', text: null };
  if (!open) return { state: 'withheld', text: null };
  const text = await debug.callStack(workflowId);
  return { state: text === null ? 'unanswered' : 'shown', text };
}

interface Recent {
  /** Steps of the pending activities, by activity id. */
  places: Map<string, StepPlace[]>;
  failures: WorkflowTaskFailure[];
}

const pageSize = 200;
/** So far back, at most, is looked for what scheduled the pending activities. */
const mostPages = 5;
const mostFailures = 20;

/** The newest events of an execution, as far back as they are needed. */
async function readRecent(door: HistoryDoor, { workflowId, execution, pendingActivities }: DescribedExecution): Promise<Recent> {
  const wanted = new Set(pendingActivities.map(({ activityId }) => activityId));
  const recent: Recent = { places: new Map(), failures: [] };
  let place: HistoryPlace | null = { execution, token: '', before: 0 };
  for (let count = 0; count < mostPages && place !== null && place.execution === execution; count += 1) {
    const page = await door.page(workflowId, place, pageSize);
    for (const event of page?.events ?? []) note(event, wanted, recent);
    if (recent.places.size === wanted.size) break;
    place = page?.next ?? null;
  }
  return recent;
}

function note(event: HistoryEvent, wanted: ReadonlySet<string>, recent: Recent): void {
  const failure = workflowTaskFailure(event);
  if (failure !== null && recent.failures.length < mostFailures) recent.failures.push(failure);
  const { activityId } = event.attributes;
  if (event.type === 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED' && typeof activityId === 'string' && wanted.has(activityId)) {
    recent.places.set(activityId, placesIn(event.attributes));
  }
}

const showActivity = (activity: PendingActivity, open: boolean): PendingActivity => ({
  ...activity,
  lastWorker: open ? activity.lastWorker : null,
  lastFailure: showFailures(activity.lastFailure, open),
});

const showPoller = (poller: Poller, open: boolean): Poller => (open ? poller : { ...poller, identity: null });

const showFailures = (failures: DebugFailure[], open: boolean): DebugFailure[] =>
  open ? failures : failures.map(({ code }) => ({ code, message: null, stackTrace: null }));
