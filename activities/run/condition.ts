import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Template } from '#core/expression/template.ts';
import { KosError } from '#core/errors.ts';
import type { ExpressionEvaluator } from './dependencies.ts';

/** What to say of a value that is neither true nor false. */
interface Condition {
  template: Template;
  code: 'when_not_boolean' | 'repeat_not_boolean' | 'check_not_boolean';
  /** As in: The "when" of a step. */
  name: string;
  /** A comparison that would do. */
  example: string;
}

/** Whether a condition holds. A value that is neither true nor false is a mistake in the plan, not a "no". Throws KosError with the condition's code. */
export async function holds(evaluator: ExpressionEvaluator, { template, code, name, example }: Condition, scope: Scope): Promise<boolean> {
  const value = await evaluator.evaluate(template, scope);
  if (typeof value === 'boolean') return value;
  throw new KosError({
    code,
    message: `${name} gave ${JSON.stringify(value).slice(0, 200)}, which is neither true nor false.`,
    fix: `Compare it with something, e.g. ${example}.`,
    status: 422,
  });
}

/** Whether a step's `when` lets it run. Throws KosError `when_not_boolean`. */
export async function meetsWhen(evaluator: ExpressionEvaluator, { id, when }: CompiledStep, scope: Scope): Promise<boolean> {
  if (when === null) return true;
  return await holds(evaluator, { template: when, code: 'when_not_boolean', name: `The "when" of ${id}`, example: 'size(…) > 0 or … != null' }, scope);
}
