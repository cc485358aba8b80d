import { defineSearchAttributeKey, TypedSearchAttributes, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  defineSignal,
  executeChild,
  ParentClosePolicy,
  proxyActivities,
  setHandler,
  WorkflowIdReusePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import type { createScheduleActivities, DueStart, ReadyRun, ScheduledRunPlace } from '#activities/schedule/schedule-activities.ts';
import { bookkeepingOptions } from './activity-options.ts';
import { makeRunWorkflowId, workflowTypes, workspaceSearchAttribute } from './ids.ts';
import { turnSignalName } from './messages.ts';
import type { PlanRunInput } from './plan-run-input.ts';
import { trusted } from './run-commands.ts';

const bookkeeping = proxyActivities<ReturnType<typeof createScheduleActivities>>(bookkeepingOptions());

/** As the server calls them: it sets them on whatever a Schedule starts. */
const scheduleAttribute = 'TemporalScheduledById';
const timeAttribute = 'TemporalScheduledStartTime';
const workflowTaskTimeout = '3 s';

/** Looks grow rarer with the time that has been waited: at most this part of it is lost when no Signal comes, and a year's wait takes a few hundred looks. */
const lookAgainAfterPart = 0.05;
const lookAgainAtLeastMs = 1_000;

/**
 * What a Schedule starts: accepts a run and carries it to its end, so that Temporal's overlap policies act on how long runs really take. It takes no input: the server
 * changes the ids of what it starts, and sealed input is bound to its id. Its own cancellation is put on record, and the run hears of it from there, as of anybody's.
 */
export async function scheduledRun(): Promise<void> {
  const news = new News();
  const cancelled = CancellationScope.current().cancelRequested;
  await CancellationScope.nonCancellable(async () => {
    const due = dueStart();
    const { runId } = await trusted(bookkeeping.acceptScheduledRun(due), 'acceptScheduledRun');
    if (runId === null) return;
    const place: ScheduledRunPlace = { workspaceId: due.workspaceId, scheduleId: due.scheduleId, runId };
    const cancelling = cancelled.catch(async () => {
      await trusted(bookkeeping.cancelScheduledRun(place), 'cancelScheduledRun');
      news.tell();
    });
    const carrying = carry(place, news);
    // A cancel that cannot be recorded ends this workflow; one that is leaves the run to end by it.
    await Promise.race([carrying, cancelling]);
    await carrying;
  });
}

/** That it may be worth looking again. */
class News {
  private told = false;

  constructor() {
    setHandler(defineSignal(turnSignalName), () => this.tell());
  }

  tell(): void {
    this.told = true;
  }

  async within(durationMs: number): Promise<void> {
    await condition(() => this.told, durationMs);
    this.told = false;
  }
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

/** Starts the run as a child when it is its turn and waits for its end. One that was started otherwise is left to whoever did: its row tells of its end. */
async function carry(place: ScheduledRunPlace, news: News): Promise<void> {
  const ready = await look(news, async () => {
    const readiness = await trusted(bookkeeping.readScheduledRun(place), 'readScheduledRun');
    return readiness.is === 'waits' ? null : readiness;
  });
  if (ready.is === 'ready') await runChild(place, ready.run);
  await look(news, async () => ((await trusted(bookkeeping.concludeScheduledRun(place), 'concludeScheduledRun')).over ? true : null));
}

/** Asks until there is something; holds no worker's slot between. */
async function look<Found>(news: News, ask: () => Promise<Found | null>): Promise<Found> {
  const sinceMs = Date.now();
  for (;;) {
    const found = await ask();
    if (found !== null) return found;
    await news.within(Math.max(lookAgainAtLeastMs, Math.round(lookAgainAfterPart * (Date.now() - sinceMs))));
  }
}

async function runChild({ workspaceId, runId }: ScheduledRunPlace, { priority, ...ready }: ReadyRun): Promise<void> {
  const input: PlanRunInput = { runId, workspaceId, ...ready, windows: [] };
  try {
    await executeChild(workflowTypes.planRun, {
      workflowId: makeRunWorkflowId(runId),
      args: [input],
      workflowTaskTimeout,
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      parentClosePolicy: ParentClosePolicy.TERMINATE,
      priority: { priorityKey: priority, fairnessKey: workspaceId },
      typedSearchAttributes: new TypedSearchAttributes([{ key: defineSearchAttributeKey(workspaceSearchAttribute, 'KEYWORD'), value: workspaceId }]),
    });
  } catch (error) {
    // How the run ended stands in its row.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError) && !isChildFailure(error)) throw error;
  }
}

const isChildFailure = (error: unknown): boolean => error instanceof Error && error.name === 'ChildWorkflowFailure';
