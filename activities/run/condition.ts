import { KosError } from '#core/errors.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { ExpressionEvaluator } from './dependencies.ts';

/** Whether a step's `when` lets it run. A value that is neither true nor false is a mistake in the plan, not a "no". Throws KosError `when_not_boolean`. */
export async function meetsWhen(evaluator: ExpressionEvaluator, compiled: CompiledStep, scope: Scope): Promise<boolean> {
  if (compiled.when === null) return true;
  const value = await evaluator.evaluate(compiled.when, scope);
  if (typeof value === 'boolean') return value;
  throw new KosError({
    code: 'when_not_boolean',
    message: `The "when" of ${compiled.id} gave ${JSON.stringify(value).slice(0, 200)}, which is neither true nor false.`,
    fix: 'Compare it with something, e.g. size(…) > 0 or … != null.',
    status: 422,
  });
}
