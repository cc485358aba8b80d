import { ActivityCancellationType, type ActivityOptions, type LocalActivityOptions } from '@temporalio/workflow';
import type { Summary } from './summaries.ts';

/**
 * Unlimited tries: a lost worker, database or key never costs a step an attempt of its own; only outcomes of the step do, and those are
 * results, not failures. One try is bounded by its time-out, all tries by the run's deadline and by cancellation.
 */
const retry: NonNullable<ActivityOptions['retry']> = { initialInterval: '200 ms', backoffCoefficient: 2, maximumInterval: '5 s' };

/** Heartbeats tell within two seconds that a worker died. */
const heartbeatTimeout = '2 s';

/** What a task is served by that a run gives up after it was started: its workflow's own tasks keep the priority of the start. */
export interface Served {
  priority?: { priorityKey: number };
}

/** Only where it differs from what activities and windows have from their workflow by themselves. */
export const servedBy = (priority: number | undefined, ofStart: number | undefined): Served =>
  priority === undefined || priority === ofStart ? {} : { priority: { priorityKey: priority } };

/** Room for the reads and writes around a step's own work. */
const overheadMs = 30_000;

/** A step's work: may run as long as the step's own time-out says. Safe to repeat: fences and the effect ledger decide what a repeat may do. */
export const unitOptions = (timeoutMs: number, summary: Summary): ActivityOptions => ({
  ...summary,
  startToCloseTimeout: timeoutMs + overheadMs,
  heartbeatTimeout,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

/**
 * A unit's work within the workflow's task, which the SDK keeps alive meanwhile. The activity itself says when it takes too long. What cannot be recorded just now
 * is tried again at once for a while, then by timers, which let the task end.
 */
export const quickOptions = (timeoutMs: number, summary: Summary): LocalActivityOptions => ({
  ...summary,
  startToCloseTimeout: timeoutMs + overheadMs,
  localRetryThreshold: '1 s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry,
});

/** Reads and writes of kOS's own rows: short, idempotent, safe to repeat. */
export const bookkeepingOptions = (summary: Summary = {}): ActivityOptions => ({ ...summary, startToCloseTimeout: '60 s', heartbeatTimeout, retry });
