import type { Claim } from '#core/engine/claim.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { OutcomeError, StepStatus, WaitingFor } from '#schemas/run.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { type AuditRecord, type EventRecord, recordAudit, recordedWithChange, recordEvents } from '#services/records/record.ts';
import { type EffectStatus, settledWithChange } from './effects.ts';
import { Superseded } from './header.ts';
import type { TakenStep } from './take-step.ts';

/** Somebody took the step since: what this writer found out changes nothing. */
export class StaleWriter extends Error {
  constructor(step: TakenStep) {
    super(`The step ${step.path} was taken by another worker meanwhile (fence ${step.fence}).`);
    this.name = 'StaleWriter';
  }
}

/** What one model call used, as it stands in `kos.model_calls`. */
export interface ModelCallRecord {
  provider: string;
  model: string;
  usage: { inputTokens: number; cachedInputTokens: number; outputTokens: number; reasoningTokens: number };
  costMicros: number | null;
  currency: string;
  possiblyBilledTwice: boolean;
  durationMs: number;
}

interface Ending {
  status: Extract<StepStatus, 'succeeded' | 'failed' | 'skipped' | 'cancelled' | 'uncertain'>;
  output: Json;
  error: OutcomeError | null;
  costMicros: number;
  metadata: JsonObject;
}

/** Outputs above this many bytes stand in a row of their own, so that lists of steps stay light. */
const inlineOutputBytes = 32_768;

export const outputIsInline = (output: Json): boolean => Buffer.byteLength(JSON.stringify(output)) <= inlineOutputBytes;

export const stepOutputBytesAtMost = 8_000_000;

export interface EndStepOptions {
  /** The step's start was not told yet: its event goes ahead of the end's. */
  startedToo?: boolean;
  /** What its event and audit entry say beyond what all of them do. */
  facts?: JsonObject;
  /** The output is a stored one that is there already; the run refers to it from now on. */
  outputId?: string | null;
  /** What became of the effect that was recorded as intended. */
  effect?: EffectStatus;
  /** Sends the commit right behind. Without a claim or under a stale fence the statement writes nothing, so there is nothing that could not be committed. */
  commit?: (() => void) | undefined;
}

/**
 * Ends a step in one statement: row, effect, cost, events and audit entry, or nothing of it when the run's claim has passed on or the fence is stale. Raises
 * the fence once more.
 */
export async function endStep(sql: TransactionSql, claim: Claim, step: TakenStep, ending: Ending, options: EndStepOptions = {}): Promise<void> {
  const { workspaceId, runId } = claim;
  const shared = options.outputId ?? null;
  const inline = shared === null && outputIsInline(ending.output);
  if (shared !== null) await referToOutput(sql, claim, shared);
  const outputId = shared ?? (inline ? null : await storeOutput(sql, claim, ending.output));
  const effect = options.effect === undefined ? sql`` : sql`, settled as (${settledWithChange(sql, claim, step, options.effect)})`;
  const cost =
    ending.costMicros === 0
      ? sql``
      : sql`, paid as (update kos.runs set cost_micros = cost_micros + ${ending.costMicros} where id = ${runId} and exists (select from changed))`;
  const query = sql<{ held: boolean; ended: boolean }[]>`
    with claim as (
      select from kos.runs where id = ${runId} and generation = ${claim.generation} and (claimed_by is null or claimed_by = ${claim.chain})
        and status in ('queued', 'running', 'waiting', 'paused')
    ), changed as (
      update kos.steps set status = ${ending.status}, fence = fence + 1, output = ${jsonParameter(sql, inline ? ending.output : null)}, output_id = ${outputId},
        error = ${ending.error === null ? null : sql.json(ending.error)}, waiting_for = null, retry_at = null, finished_at = clock_timestamp(),
        cost_micros = cost_micros + ${ending.costMicros}, metadata = metadata || ${sql.json(ending.metadata)}
      where run_id = ${runId} and path = ${step.path} and fence = ${step.fence} and exists (select from claim)
      returning path
    )${effect}${cost}${recordedWithChange(sql, { events: endEvents(claim, step, ending, options), audit: endAudit(workspaceId, runId, step, ending, options) })}
    select exists (select from claim) as held, exists (select from changed) as ended`.execute();
  if (inline) options.commit?.();
  const [row] = await query;
  if (row?.held !== true) throw new Superseded(claim);
  if (!row.ended) throw new StaleWriter(step);
}

/** Ends a step that is not to be done, and why. */
export const endStepSkipped = (sql: TransactionSql, claim: Claim, step: TakenStep, reason: string): Promise<void> =>
  endStep(sql, claim, step, { status: 'skipped', output: null, error: null, costMicros: 0, metadata: { reason } });

const factsOf = (step: TakenStep): JsonObject => ({ stepPath: step.path, kind: step.kind, attempt: step.attempt });

function endEvents({ workspaceId, runId }: Claim, step: TakenStep, { status, error }: Ending, options: EndStepOptions): EventRecord[] {
  const facts = { ...factsOf(step), ...options.facts };
  const started: EventRecord[] = options.startedToo === true ? [{ workspaceId, runId, type: 'step.started', data: factsOf(step) }] : [];
  // A cancelled step has no event of its own: the run's tells it.
  if (status === 'cancelled') return started;
  return [...started, { workspaceId, runId, type: `step.${status}`, data: error === null ? facts : { ...facts, error } }];
}

const endAudit = (workspaceId: string, runId: string, step: TakenStep, { status, error }: Ending, { facts }: EndStepOptions): AuditRecord => ({
  workspaceId,
  actor: 'kos',
  action: `step.${status}`,
  subject: runId,
  data: { ...factsOf(step), ...facts, ...(error === null ? {} : { code: error.code }) },
});

async function referToOutput(sql: TransactionSql, { workspaceId, runId }: Claim, outputId: string): Promise<void> {
  await sql`insert into kos.output_references (workspace_id, output_id, run_id) values (${workspaceId}, ${outputId}, ${runId}) on conflict do nothing`;
}

export async function storeOutput(sql: TransactionSql, claim: Pick<Claim, 'workspaceId' | 'runId'>, output: Json): Promise<string> {
  const outputId = newId('output');
  const bytes = Buffer.byteLength(JSON.stringify(output));
  await Promise.all([
    sql`insert into kos.outputs (id, workspace_id, value, size_bytes) values (${outputId}, ${claim.workspaceId}, ${jsonParameter(sql, output)}, ${bytes})`,
    sql`insert into kos.output_references (workspace_id, output_id, run_id) values (${claim.workspaceId}, ${outputId}, ${claim.runId})`,
  ]);
  return outputId;
}

/** Why there is to be another attempt. `uncounted`: kOS itself lacked something, and the next attempt has the number of this one. */
export interface RetryReason {
  error: OutcomeError;
  uncounted?: true;
}

/** A failed attempt that is to be followed by another, `delayMs` from now. */
export async function recordRetry(sql: TransactionSql, claim: Claim, step: TakenStep, reason: RetryReason, delayMs: number, alone: boolean): Promise<void> {
  const { error } = reason;
  const uncounted = reason.uncounted === true;
  const [row] = await sql<{ retryAt: Date }[]>`
    update kos.steps set status = 'retrying', fence = fence + 1, error = ${sql.json(error)}, retry_at = clock_timestamp() + make_interval(secs => ${delayMs / 1000}),
      metadata = ${uncounted ? sql`metadata || '{"uncounted": true}'` : sql`metadata`}
    where run_id = ${claim.runId} and path = ${step.path} and fence = ${step.fence}
    returning retry_at as "retryAt"`;
  if (row === undefined) throw new StaleWriter(step);
  const until = row.retryAt.toISOString();
  const waitingFor: WaitingFor = {
    kind: 'retry',
    ref: step.path,
    until,
    text: uncounted
      ? `${error.message} ${step.path} waits for what kOS itself lacks, which uses up no attempt; it is tried again at ${until}.`
      : `Attempt ${step.attempt} of ${step.path} failed (${error.code}); the next one starts at ${until}.`,
  };
  await sql`update kos.steps set waiting_for = ${sql.json(waitingFor)} where run_id = ${claim.runId} and path = ${step.path}`;
  const { workspaceId, runId } = claim;
  await recordEvents(sql, [
    { workspaceId, runId, type: 'step.retrying', data: { stepPath: step.path, kind: step.kind, attempt: step.attempt, error, retryAt: until } },
  ]);
  await recordAudit(sql, [
    { workspaceId, actor: 'kos', action: 'step.retrying', subject: runId, data: { stepPath: step.path, attempt: step.attempt, code: error.code } },
  ]);
  if (alone) await markRunWaiting(sql, claim, waitingFor);
}

/** The run does nothing but wait. What it waits for is news once: a wait that is looked at again and again stays the same one. */
export async function markRunWaiting(sql: TransactionSql, claim: Claim, waitingFor: WaitingFor): Promise<void> {
  const [updated] = await sql<{ news: boolean }[]>`
    with before as (select status, waiting_for->>'kind' as kind, waiting_for->>'ref' as ref, waiting_for->>'until' as until from kos.runs where id = ${claim.runId} for update)
    update kos.runs set status = 'waiting', waiting_for = ${sql.json(waitingFor)} from before
    where id = ${claim.runId} and generation = ${claim.generation} and claimed_by = ${claim.chain} and runs.status in ('running', 'waiting')
    returning before.status <> 'waiting' or before.kind is distinct from ${waitingFor.kind} or before.ref is distinct from ${waitingFor.ref}::text
      or (before.ref is null and before.until is distinct from ${waitingFor.until}::text) as news`;
  if (updated?.news !== true) return;
  await recordEvents(sql, [{ workspaceId: claim.workspaceId, runId: claim.runId, type: 'run.waiting', data: { waitingFor } }]);
}

export async function recordModelCall(sql: TransactionSql, claim: Claim, step: TakenStep, call: ModelCallRecord): Promise<void> {
  await sql`
    insert into kos.model_calls (id, workspace_id, run_id, step_path, attempt, provider, model, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
      cost_micros, currency, possibly_billed_twice, duration_ms)
    values (${newId('modelCall')}, ${claim.workspaceId}, ${claim.runId}, ${step.path}, ${step.attempt}, ${call.provider}, ${call.model}, ${call.usage.inputTokens},
      ${call.usage.cachedInputTokens}, ${call.usage.outputTokens}, ${call.usage.reasoningTokens}, ${call.costMicros}, ${call.currency}, ${call.possiblyBilledTwice}, ${call.durationMs})`;
}
