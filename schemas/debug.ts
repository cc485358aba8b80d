import { z } from 'zod';
import { historyStates } from './history.ts';

/** One link of a chain of causes. */
const failureSchema = z.object({
  /** The failure's type, or what kind of failure Temporal says it is. */
  code: z.string(),
  /** Null: the reader has no `history:read`, or it could not be opened. */
  message: z.string().nullable(),
  stackTrace: z.string().nullable(),
});
export type DebugFailure = z.infer<typeof failureSchema>;

/** The outermost failure first, then its causes. */
const failuresSchema = z.array(failureSchema);

const pendingActivitySchema = z.object({
  activityId: z.string(),
  type: z.string(),
  /** Paths of the steps that it works on, where its scheduling is among the newest events. */
  steps: z.array(z.string()),
  /** `scheduled`, `started`, `cancel_requested`, … as Temporal names it. */
  state: z.string(),
  /** Of Temporal's: a step has attempts of its own. */
  attempt: z.number(),
  scheduledAt: z.string().nullable(),
  lastStartedAt: z.string().nullable(),
  lastHeartbeatAt: z.string().nullable(),
  /** When it is tried again; null: it is in hand, or waits for a worker. */
  nextAttemptAt: z.string().nullable(),
  /** Null: no worker had it, or the reader has no `history:read`. */
  lastWorker: z.string().nullable(),
  lastFailure: failuresSchema,
});
export type PendingActivity = z.infer<typeof pendingActivitySchema>;

const workflowTaskFailureSchema = z.object({
  eventId: z.number(),
  at: z.string(),
  /** `timed_out`, or why the worker failed it, as Temporal names it. */
  cause: z.string(),
  failure: failuresSchema,
});
export type WorkflowTaskFailure = z.infer<typeof workflowTaskFailureSchema>;

const executionSchema = z.object({
  workflowId: z.string(),
  execution: z.string(),
  type: z.string(),
  status: z.string(),
  startedAt: z.string().nullable(),
  closedAt: z.string().nullable(),
  historyEvents: z.number(),
  historyBytes: z.number(),
  pendingActivities: z.array(pendingActivitySchema),
  pendingChildren: z.array(z.object({ workflowId: z.string(), execution: z.string(), type: z.string() })),
  /** Null: no decision is due. */
  workflowTask: z
    .object({
      state: z.string(),
      /** Above 1 it is failing. */
      attempt: z.number(),
      scheduledAt: z.string().nullable(),
      startedAt: z.string().nullable(),
    })
    .nullable(),
  /** The newest first, among the newest events. */
  workflowTaskFailures: z.array(workflowTaskFailureSchema),
  /** Where the workflow's code waits. `withheld`: the reader has no `history:read`; `unanswered`: no worker answered in time. */
  callStack: z.object({ state: z.enum(['shown', 'withheld', 'unanswered', 'closed']), text: z.string().nullable() }),
});
export type DebuggedExecution = z.infer<typeof executionSchema>;

const pollerSchema = z.object({
  /** Null: the reader has no `history:read`. */
  identity: z.string().nullable(),
  lastSeenAt: z.string().nullable(),
});
export type Poller = z.infer<typeof pollerSchema>;

export const runDebugSchema = z.object({
  runId: z.string(),
  state: z.enum(historyStates),
  /** What the state means, to read. */
  text: z.string(),
  /** False: the reader has no `history:read`, so failures are codes alone. */
  opened: z.boolean(),
  /** Who has asked the run's queue for work within minutes; a worker that was lost is listed for a while. */
  pollers: z.object({ workflows: z.array(pollerSchema), activities: z.array(pollerSchema) }),
  /** The run's own workflow, then its open windows. */
  executions: z.array(executionSchema),
});
export type RunDebug = z.infer<typeof runDebugSchema>;
