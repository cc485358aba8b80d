import { KosError } from '#core/errors.ts';

/** The evaluator's own fault, not the expression's. */
export const evaluatorFailed = (what: string, reason: string, cause?: unknown): KosError =>
  new KosError({
    code: 'evaluator_failed',
    message: `${what} was not evaluated: ${reason}`,
    fix: 'Try again; `kai doctor` shows whether the worker is well.',
    status: 500,
    retryable: true,
    cause,
  });
