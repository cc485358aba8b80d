import { KosError } from '#core/errors.ts';

/** Where in an expression's source a fault lies: offsets in UTF-16 units, the end exclusive. */
export interface ExpressionFault {
  message: string;
  start: number;
  end: number;
  suggestion?: string;
}

/** A fault inside a template: the value that holds the expression, and where the expression stands in its text. */
export interface TemplateFault extends ExpressionFault {
  /** RFC 6901 pointer from the template's root. */
  pointer: string;
  /** The expression's own source; empty for faults of the surrounding text. */
  source: string;
  /** Offset of the expression's source in the text that holds it. */
  offset: number;
}

/** The expression met data it cannot work with: counted against the step, and retrying alone does not help. */
export function expressionFailed(source: string, reason: string, cause?: unknown): KosError {
  return new KosError({
    code: 'expression_failed',
    message: `Expression \${${source}} failed: ${reason}`,
    fix: 'Correct the expression, or guard it with has(…).',
    status: 422,
    cause,
  });
}

export function expressionResultRefused(source: string, reason: string): KosError {
  return new KosError({
    code: 'expression_result',
    message: `Expression \${${source}} gave a value that is not JSON: ${reason}`,
    fix: 'Convert the value, for example with string(…) or double(…).',
    status: 422,
  });
}

export function expressionBudgetExceeded(what: string): KosError {
  return new KosError({
    code: 'expression_budget',
    message: `${what} was stopped: an evaluation may take 250 ms of processor time and 64 MB.`,
    fix: 'Work on less data in one expression, or move the work into a tool.',
    status: 422,
  });
}
