import { sql } from 'drizzle-orm';
import { bigint, boolean, index, integer, json, jsonb, primaryKey, text } from 'drizzle-orm/pg-core';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Ending, FailureHandling, Origin, OutcomeError, RunStatus, StepStatus, WaitingFor } from '#schemas/run.ts';
import { instant, kos, workspaceId } from './columns.ts';

// What users and models wrote is `json`, not `jsonb`: it keeps the order of keys, and takes a NUL character that `jsonb` refuses.
export const runs = kos.table(
  'runs',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    planName: text('plan_name').notNull(),
    planVersion: integer('plan_version').notNull(),
    planDigest: text('plan_digest').notNull(),
    status: text('status').$type<RunStatus>().notNull(),
    waitingFor: jsonb('waiting_for').$type<WaitingFor>(),
    input: json('input').$type<JsonObject>().notNull(),
    output: json('output').$type<Json>(),
    error: jsonb('error').$type<OutcomeError>(),
    /** What its plan's onFailure has come to. */
    onFailure: jsonb('on_failure').$type<FailureHandling>(),
    labels: jsonb('labels').$type<Record<string, string>>().notNull(),
    startedBy: text('started_by').notNull(),
    responsible: text('responsible').notNull(),
    origin: jsonb('origin').$type<Origin>().notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
    costMicros: bigint('cost_micros', { mode: 'number' }).notNull().default(0),
    currency: text('currency').notNull().default('USD'),
    parentRunId: text('parent_run_id'),
    /** The run that nobody's step started, above all parents; null: this one. */
    rootRunId: text('root_run_id'),
    /** Where it was called, by step paths from the root run on: `each[3]/inner`. */
    calledFrom: text('called_from'),
    /** Parents above it. */
    depth: integer('depth').notNull().default(0),
    /** Versions of the plans that its steps may run, by name: fixed when the root run was accepted. */
    planPins: jsonb('plan_pins').$type<Record<string, number>>(),
    pinned: boolean('pinned').notNull().default(false),
    /** Which generation of the run's workflow may work on it; raised when it is resumed from here. */
    generation: integer('generation').notNull().default(1),
    /** Temporal's first execution run id of the chain that claimed this generation; null until it did. */
    claimedBy: text('claimed_by'),
    /** Version of the engine's decisions the run was started with. */
    rules: integer('rules').notNull(),
    cancelRequestedAt: instant('cancel_requested_at'),
    cancelRequestedBy: text('cancel_requested_by'),
    cancelReason: text('cancel_reason'),
    /** False: whoever cancelled it wants what its steps did to stay. */
    undoOnCancel: boolean('undo_on_cancel').notNull().default(true),
    /** What its steps did is being undone, or was, because the run ends so; null: it is not. */
    ending: text('ending').$type<Ending>(),
    /** Instant by which the run must have ended; null: none. */
    deadlineAt: instant('deadline_at'),
    /** What its start asked for; `deadlineAt` is earlier where its own time ends before. Null: nothing, or an earlier release wrote it. */
    deadlineAskedAt: instant('deadline_asked_at'),
    /** False: its steps reuse no output that was kept. */
    useCache: boolean('use_cache').notNull().default(true),
    /** 1 first to 5 last. */
    priority: integer('priority').notNull().default(3),
    /** Raised by everything that people decide of an open run and its workflow must know: of two readings the higher one is today's. */
    controlVersion: integer('control_version').notNull().default(0),
    pausedAt: instant('paused_at'),
    pausedBy: text('paused_by'),
    pauseReason: text('pause_reason'),
    /** Not to be started earlier; null: at once. */
    startAt: instant('start_at'),
    /** Bound of the run from its start on; null: none but `deadlineAt`. */
    timeoutMs: bigint('timeout_ms', { mode: 'number' }),
    /** What it shares the slots of its plan by; null: the plan does not bound its runs. */
    concurrencyKey: text('concurrency_key'),
  },
  (table) => [
    index('runs_newest').on(table.workspaceId, table.createdAt.desc(), table.id.desc()),
    index('runs_by_plan').on(table.workspaceId, table.planName, table.createdAt.desc()),
    index('runs_by_parent').on(table.parentRunId).where(sql`parent_run_id is not null`),
    index('runs_open').on(table.status).where(sql`status in ('queued', 'running', 'waiting', 'paused')`),
    index('runs_finished').on(table.workspaceId, table.finishedAt).where(sql`finished_at is not null`),
  ],
);

export const steps = kos.table(
  'steps',
  {
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    path: text('path').notNull(),
    /** Position in the plan, and the item's index in a `forEach` (null: not an item). */
    step: integer('step').notNull(),
    item: integer('item'),
    /** Number of the round of a `repeat`, from 0 (null: not a round). */
    iteration: integer('iteration'),
    /** Path of the step whose effect it takes back (null: it is no undo). Then `step`, `item` and `iteration` are that one's. */
    undoes: text('undoes'),
    kind: text('kind').notNull(),
    status: text('status').$type<StepStatus>().notNull(),
    /** Attempts that the step itself used up, the present one included; a lost worker costs none. */
    attempt: integer('attempt').notNull().default(0),
    /** Raised by whoever takes the step and by every recorded outcome; a writer that names an older one is refused. */
    fence: integer('fence').notNull().default(0),
    /** The item's value, or the input fixed by an approval. */
    input: json('input').$type<Json>(),
    output: json('output').$type<Json>(),
    outputId: text('output_id'),
    error: jsonb('error').$type<OutcomeError>(),
    waitingFor: jsonb('waiting_for').$type<WaitingFor>(),
    /** The next attempt's instant while `retrying`. */
    retryAt: instant('retry_at'),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
    costMicros: bigint('cost_micros', { mode: 'number' }).notNull().default(0),
    metadata: jsonb('metadata').$type<JsonObject>().notNull().default({}),
  },
  (table) => [
    primaryKey({ columns: [table.runId, table.path] }),
    index('steps_by_number').on(table.runId, table.step, table.item),
    index('steps_rounds').on(table.runId, table.step, table.item, table.iteration).where(sql`iteration is not null`),
  ],
);

/** Outputs too large for the step row; kept while a run refers to them. */
export const outputs = kos.table('outputs', {
  id: text('id').primaryKey(),
  workspaceId: workspaceId(),
  value: json('value').$type<Json>().notNull(),
  sizeBytes: integer('size_bytes').notNull(),
  createdAt: instant('created_at').notNull().default(sql`now()`),
});

export const outputReferences = kos.table(
  'output_references',
  {
    workspaceId: workspaceId(),
    outputId: text('output_id').notNull(),
    runId: text('run_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.outputId, table.runId] }), index('output_references_by_run').on(table.runId)],
);

/** A change outside kOS, recorded before it is tried. */
export const effects = kos.table(
  'effects',
  {
    /** Run + step path. */
    key: text('key').primaryKey(),
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    tool: text('tool').notNull(),
    status: text('status').$type<'intended' | 'happened' | 'none' | 'uncertain'>().notNull(),
    /** The fence under which the present intent was recorded. */
    fence: integer('fence').notNull(),
    inputDigest: text('input_digest').notNull(),
    /** Times the outside was asked. */
    calls: integer('calls').notNull().default(0),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [index('effects_by_run').on(table.runId)],
);

export const modelCalls = kos.table(
  'model_calls',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    attempt: integer('attempt').notNull(),
    provider: text('provider').notNull(),
    model: text('model').notNull(),
    inputTokens: integer('input_tokens').notNull(),
    cachedInputTokens: integer('cached_input_tokens').notNull(),
    outputTokens: integer('output_tokens').notNull(),
    reasoningTokens: integer('reasoning_tokens').notNull(),
    /** Null: the price is unknown. */
    costMicros: bigint('cost_micros', { mode: 'number' }),
    currency: text('currency').notNull(),
    possiblyBilledTwice: boolean('possibly_billed_twice').notNull().default(false),
    durationMs: integer('duration_ms').notNull(),
    at: instant('at').notNull().default(sql`now()`),
  },
  (table) => [index('model_calls_by_run').on(table.runId)],
);
