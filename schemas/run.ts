import { z } from 'zod';
import { idSchema } from './ids.ts';
import { jsonObjectSchema, jsonSchema } from './json.ts';
import { isPlanVersion } from './plan-version.ts';

export const runStatuses = ['queued', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled', 'terminated'] as const;
export const runStatusSchema = z.enum(runStatuses);
export type RunStatus = z.infer<typeof runStatusSchema>;

export const finalRunStatuses = ['succeeded', 'failed', 'cancelled', 'terminated'] as const satisfies readonly RunStatus[];
export type FinalRunStatus = (typeof finalRunStatuses)[number];
export const isFinalRunStatus = (status: string): status is FinalRunStatus => (finalRunStatuses as readonly string[]).includes(status);

/** How a run that undoes what it did is going to end. */
export const endingSchema = z.enum(['failed', 'cancelled', 'timed_out']);
export type Ending = z.infer<typeof endingSchema>;

export const waitingForSchema = z.object({
  kind: z.enum(['engine', 'worker', 'timer', 'approval', 'vote', 'signal', 'run', 'concurrency', 'budget', 'retry', 'paused']),
  /** The id of what is waited for, where it has one. */
  ref: z.string().nullable(),
  /** ISO 8601 instant at which the wait ends by itself; null: never. */
  until: z.string().nullable(),
  text: z.string(),
});
export type WaitingFor = z.infer<typeof waitingForSchema>;

export const outcomeErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  fix: z.string().nullable(),
  stepPath: z.string().nullable(),
});
export type OutcomeError = z.infer<typeof outcomeErrorSchema>;

/** What a plan's onFailure has come to: the run that it started, or why there is none. */
export const failureHandlingSchema = z.object({ runId: idSchema('run').nullable(), error: outcomeErrorSchema.nullable() });
export type FailureHandling = z.infer<typeof failureHandlingSchema>;

export const originSchema = z.object({
  kind: z.enum(['api', 'console', 'cli', 'mcp', 'trigger', 'schedule', 'run', 'failure', 'fork', 'replay', 'installation']),
  id: z.string().nullable(),
});
export type Origin = z.infer<typeof originSchema>;

export const runSchema = z.object({
  id: idSchema('run'),
  plan: z.object({ name: z.string(), version: z.int(), digest: z.string() }),
  status: runStatusSchema,
  waitingFor: waitingForSchema.nullable(),
  input: jsonObjectSchema,
  output: jsonSchema,
  error: outcomeErrorSchema.nullable(),
  /** Null: it has not failed, or its plan says nothing of failures. */
  onFailure: failureHandlingSchema.nullable(),
  labels: z.record(z.string(), z.string()),
  startedBy: z.string(),
  responsible: z.string(),
  origin: originSchema,
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  finishedAt: z.string().nullable(),
  /** Integer micros of `currency`. */
  costMicros: z.int(),
  currency: z.string(),
  /** The run whose step started this one. */
  parentRunId: idSchema('run').nullable(),
  /** That step, by paths from the outermost run on: `each[3]/inner`. */
  calledFrom: z.string().nullable(),
  pinned: z.boolean(),
  cancelRequestedAt: z.string().nullable(),
  /** False: its steps reuse no output that was kept by an earlier run. */
  cache: z.boolean(),
  /** 1 is served first, 5 last. */
  priority: z.int().min(1).max(5),
  /** It is not started before; null: at once. */
  startAt: z.string().nullable(),
  /** It must have ended by then; null: no bound, or one that begins with its start. */
  deadlineAt: z.string().nullable(),
  /** The deadline that its start named, whatever ends it earlier; null: none. */
  deadlineAskedAt: z.string().nullable(),
  /** It undoes what its steps did, or has undone it, because it ends so; null: it does not. */
  ending: endingSchema.nullable(),
});
export type Run = z.infer<typeof runSchema>;

const labelsSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9_.-]{0,62}$/), z.string().max(200))
  .refine((labels) => Object.keys(labels).length <= 32, 'at most 32 labels');

/** RFC 3339, with its offset: without one it would depend on where the server stands. */
const instantSchema = z.iso.datetime({ offset: true, error: 'must be an instant with its offset, as in 2031-01-31T09:00:00Z' });

/** What a run's start says of its time and its place in line. */
const startOptions = {
  /** Accepted now, started then; an instant that has passed is now. */
  startAt: instantSchema.optional(),
  /** The run must have ended by then. */
  deadlineAt: instantSchema.optional(),
  /** Bound of the run from its start on, ms; instead of the plan's own. */
  timeoutMs: z.int().min(1).max(31_622_400_000).optional(),
  /** 1 is served first, 5 last; instead of the plan's own. */
  priority: z.int().min(1).max(5).optional(),
};

export const startRunSchema = z.strictObject({
  /** `name` (its newest version) or `name@version`. */
  plan: z.string().regex(/^[a-z][a-z0-9-]{0,63}(@[1-9][0-9]{0,8})?$/, 'must be a plan name or name@version'),
  input: jsonObjectSchema.default({}),
  labels: labelsSchema.optional(),
  ...startOptions,
  /** False: every step does its work, whatever earlier runs have found out; what it finds out is kept for later ones. */
  cache: z.boolean().optional(),
});
export type StartRun = z.infer<typeof startRunSchema>;

/** A run like another one; what is absent is that one's, but for the instants: start and deadline were meant for one run. */
export const replayRunSchema = z.strictObject({
  input: jsonObjectSchema.optional(),
  ...startOptions,
  labels: labelsSchema.optional(),
  /** Whether its steps may reuse outputs that were kept. */
  cache: z.boolean().optional(),
  reason: z.string().max(2_000).optional(),
});

export type ReplayRun = z.infer<typeof replayRunSchema>;

export const forkRunSchema = replayRunSchema.extend({
  /** Id of the step from which on everything runs again. */
  from: z.string().min(1).max(200),
  /** Version of the plan to go on with; absent: the run's own. */
  version: z.int().positive().refine(isPlanVersion, 'is no version of a plan: they have nine digits at most').optional(),
});

export const stepStatuses = ['pending', 'running', 'waiting', 'retrying', 'succeeded', 'failed', 'skipped', 'cancelled', 'uncertain', 'compensated'] as const;
export const stepStatusSchema = z.enum(stepStatuses);
export type StepStatus = z.infer<typeof stepStatusSchema>;

export const stepSchema = z.object({
  path: z.string(),
  kind: z.string(),
  status: stepStatusSchema,
  attempt: z.int(),
  startedAt: z.string().nullable(),
  finishedAt: z.string().nullable(),
  waitingFor: waitingForSchema.nullable(),
  output: jsonSchema.optional(),
  /** Id of a stored output that is too large to travel in lists: `GET /v1/runs/{id}/steps?path=` carries it whole. */
  outputRef: z.string().optional(),
  error: outcomeErrorSchema.nullable(),
  costMicros: z.int(),
  /** How the output came to be: model, provider, usage, labels, tool and its version, items of a `forEach`, the step whose output was reused. */
  metadata: jsonObjectSchema,
});
export type Step = z.infer<typeof stepSchema>;
