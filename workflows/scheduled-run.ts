import { defineSearchAttributeKey, TypedSearchAttributes, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowCancellationType,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  WorkflowIdReusePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import type { createScheduleActivities, DueStart, ReadyRun, ScheduledRunPlace } from '#activities/schedule/schedule-activities.ts';
import { bookkeepingOptions } from './activity-options.ts';
import { makeRunWorkflowId, workflowTypes, workspaceSearchAttribute } from './ids.ts';
import type { PlanRunInput } from './plan-run-input.ts';
import { trusted } from './run-commands.ts';

type ScheduleActivities = ReturnType<typeof createScheduleActivities>;

const bookkeeping = proxyActivities<ScheduleActivities>(bookkeepingOptions);
/** Wait for what may take as long as a run: bounded by heartbeats alone, and by who cancels them. */
const watching = proxyActivities<ScheduleActivities>({ ...bookkeepingOptions, startToCloseTimeout: '400 days' });

/** As the server calls them: it sets them on whatever a Schedule starts. */
const scheduleAttribute = 'TemporalScheduledById';
const timeAttribute = 'TemporalScheduledStartTime';
const workflowTaskTimeout = '3 s';

/**
 * What a Schedule starts: accepts a run and carries it to its end, so that Temporal's overlap policies act on how long runs really take. It takes no input: the server
 * changes the ids of what it starts, and sealed input is bound to its id.
 */
export async function scheduledRun(): Promise<void> {
  const cancelled = CancellationScope.current().cancelRequested;
  await CancellationScope.nonCancellable(async () => {
    const due = dueStart();
    const { runId } = await trusted(bookkeeping.acceptScheduledRun(due), 'acceptScheduledRun');
    if (runId === null) return;
    const place: ScheduledRunPlace = { workspaceId: due.workspaceId, scheduleId: due.scheduleId, runId };
    const work = new CancellationScope({ cancellable: true });
    // The decision is on record first, as when a person makes it.
    void cancelled.catch(async () => {
      await bookkeeping.cancelScheduledRun(place);
      work.cancel();
    });
    await carry(place, work);
    await watching.concludeScheduledRun(place);
  });
}

function dueStart(): DueStart {
  const { searchAttributes, workflowId, firstExecutionRunId } = workflowInfo();
  const [scheduleId] = searchAttributes[scheduleAttribute] ?? [];
  const [nominalAt] = searchAttributes[timeAttribute] ?? [];
  const [workspaceId] = searchAttributes[workspaceSearchAttribute] ?? [];
  if (typeof scheduleId !== 'string' || typeof workspaceId !== 'string' || !(nominalAt instanceof Date))
    throw ApplicationFailure.nonRetryable('scheduledRun is started by Schedules alone: their search attributes are missing', 'not_scheduled');
  return { workspaceId, scheduleId, nominalAt: nominalAt.toISOString(), workflowId, execution: firstExecutionRunId };
}

/** Starts the run as a child and waits for its end. One that was started otherwise is left to whoever did: its row tells of its end. */
async function carry(place: ScheduledRunPlace, work: CancellationScope): Promise<void> {
  try {
    await work.run(async () => {
      const ready = await trusted(watching.readyScheduledRun(place), 'readyScheduledRun');
      if (ready !== null) await runChild(place, ready);
    });
  } catch (error) {
    // How the run ended stands in its row. What was cancelled before it began ends there, too.
    if (!isCancellation(error) && !(error instanceof WorkflowExecutionAlreadyStartedError) && !isChildFailure(error)) throw error;
  }
}

const isChildFailure = (error: unknown): boolean => error instanceof Error && error.name === 'ChildWorkflowFailure';

async function runChild({ workspaceId, runId }: ScheduledRunPlace, { priority, ...ready }: ReadyRun): Promise<void> {
  const input: PlanRunInput = { runId, workspaceId, ...ready, windows: [] };
  await executeChild(workflowTypes.planRun, {
    workflowId: makeRunWorkflowId(runId),
    args: [input],
    workflowTaskTimeout,
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    parentClosePolicy: ParentClosePolicy.TERMINATE,
    cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    priority: { priorityKey: priority, fairnessKey: workspaceId },
    typedSearchAttributes: new TypedSearchAttributes([{ key: defineSearchAttributeKey(workspaceSearchAttribute, 'KEYWORD'), value: workspaceId }]),
  });
}
