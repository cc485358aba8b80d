import { CancelledFailure } from '@temporalio/common';
import type { RetryPolicy } from '#core/plan/compiled.ts';
import { KosError } from '#core/errors.ts';
import type { OutcomeError } from '#schemas/run.ts';
import { StoreFull } from '#services/artifacts/store.ts';
import { isDatabaseFailure } from '#services/database/failures.ts';
import { ModelFailure } from '#services/models/model.ts';
import { Superseded } from '#services/runs/ledger/header.ts';
import { StaleWriter } from '#services/runs/ledger/record-outcome.ts';
import { ToolFailure } from '#services/tools/tool.ts';

/** A failed attempt of a step, classified once. */
export interface StepFailure {
  error: OutcomeError;
  retryable: boolean;
  /** Whether something outside may have changed. */
  effect: 'none' | 'unknown';
  /** Delay that the outside asked for. */
  retryAfterMs: number | null;
  /** kOS itself lacked what it needs: the try uses up none of the step's attempts. */
  uncounted?: true;
}

/** Postgres refuses the NUL character and halves of surrogate pairs in `jsonb`, where errors are kept. */
export const storableText = (text: string, charactersAtMost: number): string => text.slice(0, charactersAtMost).replaceAll('\u0000', '\uFFFD').toWellFormed();

const outcomeError = (error: { code: string; message: string; fix: string | null }, stepPath: string): OutcomeError => ({
  code: error.code,
  message: storableText(error.message, 4_000),
  fix: error.fix === null ? null : storableText(error.fix, 1_000),
  stepPath,
});

/** This attempt of the activity is over, not the step: the worker stops, or its heartbeats came too late. Another attempt goes on with it. */
export class AttemptLost extends Error {
  /** False: what it does outside must end with it. */
  readonly mayBeJoined: boolean;

  constructor(reason: string, mayBeJoined: boolean) {
    super(`This attempt is over (${reason}); another one goes on.`);
    this.name = 'AttemptLost';
    this.mayBeJoined = mayBeJoined;
  }
}

/**
 * Classifies what a step threw. Failures around the step (the database, a stale writer, a claim that passed on) are not failures of the step: they
 * are thrown on, and Temporal repeats the activity. Answers null for those. All else must not be tried for ever, our own mistakes included.
 */
export function classifyFailure(thrown: unknown, stepPath: string): StepFailure | null {
  if (thrown instanceof ToolFailure)
    return { error: outcomeError(thrown, stepPath), retryable: thrown.retryable, effect: thrown.effect, retryAfterMs: thrown.retryAfterMs };
  if (thrown instanceof ModelFailure)
    return { error: outcomeError(thrown, stepPath), retryable: thrown.retryable, effect: thrown.billed, retryAfterMs: thrown.retryAfterMs };
  if (thrown instanceof StoreFull) return { error: outcomeError(thrown, stepPath), retryable: true, effect: 'none', retryAfterMs: null, uncounted: true };
  if (thrown instanceof KosError) return { error: outcomeError(thrown, stepPath), retryable: thrown.retryable, effect: 'none', retryAfterMs: null };
  if (isAround(thrown)) return null;
  const message = `A fault in kOS itself while working on ${stepPath}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  const fix = 'Report it with the output of: kai run logs';
  return { error: outcomeError({ code: 'internal_fault', message, fix }, stepPath), retryable: true, effect: 'unknown', retryAfterMs: null };
}

function isAround(thrown: unknown): boolean {
  if (thrown instanceof AttemptLost || thrown instanceof CancelledFailure || thrown instanceof StaleWriter || thrown instanceof Superseded) return true;
  return isDatabaseFailure(thrown);
}

export const stepTimedOut = (stepPath: string, timeoutMs: number, effect: 'none' | 'unknown'): ToolFailure =>
  new ToolFailure({
    code: 'step_timeout',
    message: `The step ${stepPath} did not end within its ${timeoutMs} ms.`,
    fix: 'Raise its timeoutMs in the plan, or make its work smaller.',
    retryable: true,
    effect,
  });

const uncountedRetryMs = { atLeast: 1_000, atMost: 30_000 };

/** For what kOS lacks there is no number of attempts to go by: the longer it has lasted, the rarer it is looked at. */
export const uncountedRetryDelayMs = (elapsedMs: number): number => Math.min(uncountedRetryMs.atMost, Math.max(uncountedRetryMs.atLeast, elapsedMs / 2));

/** Milliseconds until the next attempt: the plan's back-off, or what the outside asked for where that is longer, within the plan's ceiling. */
export function retryDelayMs(policy: RetryPolicy, attempt: number, retryAfterMs: number | null): number {
  const backoff = Math.min(policy.maximumDelayMs, policy.initialDelayMs * policy.backoffCoefficient ** (attempt - 1));
  return Math.max(backoff, Math.min(retryAfterMs ?? 0, policy.retryAfterAtMostMs));
}
