import type { CostDiff, ModelUse } from '#schemas/plan-diff.ts';
import type { CompiledStep, LoadedPlan } from './compiled.ts';

/** What a model's name stands for where the plan would run, and what it costs there; a price of null: nobody here knows it. */
export type Pricing = (model: string, hasSchema: boolean) => Pick<ModelUse, 'resolvesTo' | 'price'>;

/** Steps that call models and of which model, price, number of calls or bound of the output differ. */
export function diffCost(from: LoadedPlan, to: LoadedPlan, { pricing, currency }: { pricing: Pricing; currency: string }): CostDiff {
  const [before, after] = [usesOf(from, pricing), usesOf(to, pricing)];
  const ids = [...new Set([...after.keys(), ...before.keys()])];
  const steps = ids.map((id) => ({ id, from: before.get(id) ?? null, to: after.get(id) ?? null }));
  return {
    currency,
    steps: steps.filter((step) => JSON.stringify(step.from) !== JSON.stringify(step.to)),
    outputMicrosAtMost: { from: mostForOutput(from, before), to: mostForOutput(to, after) },
  };
}

function usesOf({ steps }: LoadedPlan, pricing: Pricing): Map<string, ModelUse> {
  return new Map(
    steps.flatMap((step): [string, ModelUse][] => {
      const { definition, id } = step;
      if (!('llm' in definition)) return [];
      const { model, schema, maxOutputTokens = null } = definition.llm;
      return [[id, { model, ...pricing(model, schema !== undefined), callsAtMost: mostCalls(step), maxOutputTokens }]];
    }),
  );
}

/** Each attempt and each round counted. Null: it runs for items that only the run knows. */
function mostCalls({ retry, forEach, repeat }: CompiledStep): number | null {
  const ofOne = retry.maxAttempts * (repeat?.maxIterations ?? 1);
  if (forEach === null) return ofOne;
  return forEach.root.kind === 'constant' && Array.isArray(forEach.root.value) ? ofOne * forEach.root.value.length : null;
}

/** Of one run. Null: a step's calls are known only when it runs, or it calls another plan. */
export function mostModelCalls({ steps }: LoadedPlan): number | null {
  if (steps.some(({ kind }) => kind === 'plan')) return null;
  return sumOrNull(steps.flatMap((step) => ('llm' in step.definition ? [mostCalls(step)] : [])));
}

/** Of what is billed only the output has a bound in the plan: what is sent is billed, too, by its length. Null: price, calls or length of one of them are not known. */
function mostForOutput({ steps }: LoadedPlan, uses: ReadonlyMap<string, ModelUse>): number | null {
  if (steps.some(({ kind }) => kind === 'plan')) return null;
  return sumOrNull([...uses.values()].map(mostForOutputOf));
}

function mostForOutputOf({ price, callsAtMost, maxOutputTokens }: ModelUse): number | null {
  if (price?.outputMicros === 0) return 0;
  if (price === null || callsAtMost === null || maxOutputTokens === null) return null;
  return Math.ceil((callsAtMost * maxOutputTokens * price.outputMicros) / 1_000_000);
}

const sumOrNull = (parts: readonly (number | null)[]): number | null =>
  parts.reduce<number | null>((sum, part) => (sum === null || part === null ? null : sum + part), 0);
