import type { Claim } from '#core/engine/claim.ts';
import type { Outcome } from '#core/engine/outcome.ts';
import type { Json } from '#schemas/json.ts';
import { keepOutput } from '#services/cache/entries.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { settleEffect } from '#services/runs/ledger/effects.ts';
import type { RunHeader } from '#services/runs/ledger/header.ts';
import { failStep } from './fail-step.ts';
import { endStep, endStepSkipped, recordModelCall, recordRetry, stepOutputBytesAtMost } from '#services/runs/ledger/record-outcome.ts';
import { elapsedMs, type TakenStep } from '#services/runs/ledger/take-step.ts';
import { standIn } from '#services/runs/ledger/stand-in.ts';
import type { ExpressionEvaluator } from './dependencies.ts';
import { labelsOf } from './labels.ts';
import { AttemptLost, retryDelayMs, type StepFailure, storableText, uncountedRetryDelayMs } from './failure.ts';
import type { Performed } from './perform-step.ts';
import { heedsCancel, type StepWork } from './step-work.ts';

/** What came of one try at a step: an outcome for good, the time until its next attempt (ms), or nothing, since the run is paused. */
export type Tried = { outcome: Outcome /** Of a step that succeeded. */; output?: Json } | { retryInMs: number } | { heldAt: number };

/** What a repeat may do. `askable`: as effectful, but the tool can find out whether its effect happened. */
export type Effect = 'pure' | 'idempotent' | 'askable' | 'effectful';

/** A step that has been taken, with what its end needs to know. */
export interface Ending extends Transaction {
  evaluator: ExpressionEvaluator;
  work: StepWork;
  step: TakenStep;
  effect: Effect;
  /** Its output is kept under this; null: it is not. */
  cacheKey: string | null;
}

export async function endInSuccess(ending: Ending, performed: Performed): Promise<Tried> {
  const { sql, work, step } = ending;
  const { claim } = work;
  if (Buffer.byteLength(JSON.stringify(performed.output)) > stepOutputBytesAtMost) return await endTooLarge(ending);
  const { artifact, modelCall } = performed;
  const output = artifact === undefined ? performed.output : await recordArtifact(sql, claim, step, artifact);
  const fallbackOf = work.round === undefined ? work.compiled.fallbackOf : null;
  const nothingElse = artifact === undefined && modelCall === undefined && work.alsoAtEnd === undefined && fallbackOf === null && ending.cacheKey === null;
  const outcome = { status: 'succeeded' as const, output, error: null, costMicros: performed.costMicros, metadata: performed.metadata };
  await Promise.all([
    endStep(sql, claim, step, outcome, {
      ...(ending.effect === 'pure' ? { startedToo: true } : { effect: 'happened' }),
      facts: labelsOf(performed.metadata),
      ...(nothingElse ? { commit: ending.commit } : {}),
    }),
    modelCall === undefined ? undefined : recordModelCall(sql, claim, step, modelCall),
    keep(ending),
  ]);
  if (fallbackOf !== null) await standIn(sql, { runId: claim.runId, failed: fallbackOf, fallback: step.path });
  await work.alsoAtEnd?.(sql);
  return { outcome: 's', output };
}

async function keep({ sql, work, step, cacheKey }: Ending): Promise<void> {
  const { claim, compiled, facts } = work;
  if (cacheKey === null || compiled.cache === null) return;
  await keepOutput(sql, claim, { key: cacheKey, planName: facts.planName, stepPath: step.path, ttlMs: compiled.cache.ttlMs });
}

/** It did its work, and its output cannot be kept. */
async function endTooLarge(ending: Ending): Promise<Tried> {
  const { sql, work, step } = ending;
  const message = `The output of ${step.path} is larger than ${stepOutputBytesAtMost / 1_000_000} MB.`;
  const fix = 'Write it as an artifact, or make it smaller before it leaves the step.';
  if (ending.effect !== 'pure') await settleEffect(sql, work.claim, step, 'happened');
  return await endFailed(ending, { code: 'output_too_large', message, fix, stepPath: step.path });
}

/** Postgres refuses a value of the outcome for good: the step fails, or it would be tried for ever. */
export const notStorable = (step: TakenStep, error: unknown): StepFailure => ({
  error: {
    code: 'outcome_not_storable',
    message: `What ${step.path} brought about cannot be stored: ${storableText(error instanceof Error ? error.message : String(error), 500)}.`,
    fix: 'Keep NUL characters and the like out of names.',
    stepPath: step.path,
  },
  retryable: false,
  effect: 'unknown',
  retryAfterMs: null,
});

async function recordArtifact(sql: TransactionSql, claim: Claim, step: TakenStep, artifact: NonNullable<Performed['artifact']>): Promise<Json> {
  const id = newId('artifact');
  await sql`
    insert into kos.artifacts (id, workspace_id, run_id, step_path, name, media_type, size_bytes, sha256)
    values (${id}, ${claim.workspaceId}, ${claim.runId}, ${step.path}, ${artifact.name}, ${artifact.mediaType}, ${artifact.sizeBytes}, ${artifact.sha256})`;
  await sql`insert into kos.artifact_references (workspace_id, artifact_id, run_id) values (${claim.workspaceId}, ${id}, ${claim.runId})`;
  return { artifactId: id, ...artifact };
}

/** A failed try: another attempt, a failure for good, or an effect nobody can vouch for. */
export async function endInFailure(ending: Ending, failure: StepFailure, header: RunHeader): Promise<Tried> {
  const { sql, work, step, effect } = ending;
  const { claim } = work;
  const cancelled = heedsCancel(work) && (isCancelled(work.signal) || header.cancelRequested);
  const retryInMs = cancelled ? null : await nextAttemptInMs(ending, failure);
  const again = retryInMs !== null;
  const uncertain = failure.effect === 'unknown' && (effect === 'effectful' || (effect === 'askable' && !again));
  if (effect !== 'pure') await settleEffect(sql, claim, step, uncertain ? 'uncertain' : failure.effect === 'none' ? 'none' : 'intended');
  if (uncertain) {
    await endStep(sql, claim, step, { status: 'uncertain', output: null, error: failure.error, costMicros: 0, metadata: {} });
    return { outcome: 'u' };
  }
  if (cancelled) return await endCancelled(ending);
  if (retryInMs === null) return await endFailed(ending, failure.error);
  await recordRetry(sql, claim, step, failure, retryInMs, work.alone);
  return { retryInMs };
}

/** An attempt that is lost is no cancel of the run. */
const isCancelled = (signal: AbortSignal): boolean => signal.aborted && !(signal.reason instanceof AttemptLost);

/** Null: this was the last attempt, by what failed, by its number, or by the time that all attempts together may take. */
async function nextAttemptInMs({ sql, work, step }: Ending, failure: StepFailure): Promise<number | null> {
  const { retry, timeoutInAllMs } = work.compiled;
  const isLast = failure.uncounted !== true && step.attempt >= retry.maxAttempts;
  if (!failure.retryable || isLast || retry.nonRetryable.includes(failure.error.code)) return null;
  const inMs = failure.uncounted === true ? uncountedRetryDelayMs(step.elapsedMs) : retryDelayMs(retry, step.attempt, failure.retryAfterMs);
  if (timeoutInAllMs === null) return inMs;
  return (await elapsedMs(sql, work.claim, step)) + inMs < timeoutInAllMs ? inMs : null;
}

async function endFailed({ evaluator, sql, work, step }: Ending, error: StepFailure['error']): Promise<Tried> {
  const outcome = await failStep({ evaluator }, sql, work, step, error);
  if (outcome === 't') await work.alsoAtEnd?.(sql);
  return { outcome };
}

export async function endSkipped({ sql, work, step }: Ending, reason: string): Promise<Tried> {
  await endStepSkipped(sql, work.claim, step, reason);
  await work.alsoAtEnd?.(sql);
  return { outcome: 'k' };
}

export async function endCancelled({ sql, work, step }: Ending): Promise<Tried> {
  await endStep(sql, work.claim, step, { status: 'cancelled', output: null, error: null, costMicros: 0, metadata: {} });
  return { outcome: 'c' };
}
