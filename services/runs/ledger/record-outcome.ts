import type { Claim } from '#core/engine/claim.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { OutcomeError, StepStatus, WaitingFor } from '#schemas/run.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
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

export const stepOutputBytesAtMost = 8_000_000;

/** Ends a step: row, event and audit entry, or nothing when the fence is stale. Raises the fence once more. */
export async function endStep(sql: TransactionSql, claim: Claim, step: TakenStep, ending: Ending): Promise<void> {
  const stored = await storeOutput(sql, claim, ending.output);
  const updated = await sql`
    update kos.steps set status = ${ending.status}, fence = fence + 1, output = ${jsonParameter(sql, stored.inline)}, output_id = ${stored.outputId},
      error = ${ending.error === null ? null : sql.json(ending.error)}, waiting_for = null, retry_at = null, finished_at = clock_timestamp(),
      cost_micros = cost_micros + ${ending.costMicros}, metadata = metadata || ${sql.json(ending.metadata)}
    where run_id = ${claim.runId} and path = ${step.path} and fence = ${step.fence}`;
  if (updated.count === 0) throw new StaleWriter(step);
  const { workspaceId, runId } = claim;
  const facts = { stepPath: step.path, kind: step.kind, attempt: step.attempt };
  // A cancelled step has no event of its own: the run's tells it.
  if (ending.status !== 'cancelled') {
    await recordEvents(sql, [{ workspaceId, runId, type: `step.${ending.status}`, data: ending.error === null ? facts : { ...facts, error: ending.error } }]);
  }
  const data = ending.error === null ? facts : { ...facts, code: ending.error.code };
  await recordAudit(sql, [{ workspaceId, actor: 'kos', action: `step.${ending.status}`, subject: runId, data }]);
  if (ending.costMicros > 0) await sql`update kos.runs set cost_micros = cost_micros + ${ending.costMicros} where id = ${runId}`;
}

async function storeOutput(sql: TransactionSql, claim: Claim, output: Json): Promise<{ inline: Json; outputId: string | null }> {
  const bytes = Buffer.byteLength(JSON.stringify(output));
  if (bytes <= inlineOutputBytes) return { inline: output, outputId: null };
  const outputId = newId('output');
  await sql`insert into kos.outputs (id, workspace_id, value, size_bytes) values (${outputId}, ${claim.workspaceId}, ${jsonParameter(sql, output)}, ${bytes})`;
  await sql`insert into kos.output_references (workspace_id, output_id, run_id) values (${claim.workspaceId}, ${outputId}, ${claim.runId})`;
  return { inline: null, outputId };
}

/** A failed attempt that is to be followed by another, `delayMs` from now. */
export async function recordRetry(sql: TransactionSql, claim: Claim, step: TakenStep, error: OutcomeError, delayMs: number, alone: boolean): Promise<void> {
  const [row] = await sql<{ retryAt: Date }[]>`
    update kos.steps set status = 'retrying', fence = fence + 1, error = ${sql.json(error)}, retry_at = clock_timestamp() + make_interval(secs => ${delayMs / 1000})
    where run_id = ${claim.runId} and path = ${step.path} and fence = ${step.fence}
    returning retry_at as "retryAt"`;
  if (row === undefined) throw new StaleWriter(step);
  const until = row.retryAt.toISOString();
  const waitingFor: WaitingFor = {
    kind: 'retry',
    ref: step.path,
    until,
    text: `Attempt ${step.attempt} of ${step.path} failed (${error.code}); the next one starts at ${until}.`,
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

/** The run does nothing but wait. */
export async function markRunWaiting(sql: TransactionSql, claim: Claim, waitingFor: WaitingFor): Promise<void> {
  const updated = await sql`
    update kos.runs set status = 'waiting', waiting_for = ${sql.json(waitingFor)}
    where id = ${claim.runId} and generation = ${claim.generation} and claimed_by = ${claim.chain} and status in ('running', 'waiting')`;
  if (updated.count === 0) return;
  await recordEvents(sql, [{ workspaceId: claim.workspaceId, runId: claim.runId, type: 'run.waiting', data: { waitingFor } }]);
}

export async function recordModelCall(sql: TransactionSql, claim: Claim, step: TakenStep, call: ModelCallRecord): Promise<void> {
  await sql`
    insert into kos.model_calls (id, workspace_id, run_id, step_path, attempt, provider, model, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
      cost_micros, currency, possibly_billed_twice, duration_ms)
    values (${newId('modelCall')}, ${claim.workspaceId}, ${claim.runId}, ${step.path}, ${step.attempt}, ${call.provider}, ${call.model}, ${call.usage.inputTokens},
      ${call.usage.cachedInputTokens}, ${call.usage.outputTokens}, ${call.usage.reasoningTokens}, ${call.costMicros}, ${call.currency}, ${call.possiblyBilledTwice}, ${call.durationMs})`;
}
