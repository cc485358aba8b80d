import { didYouMean } from '#core/expression/closest-name.ts';
import type { FaultList } from './fault-list.ts';
import type { PlanGraph } from './plan-graph.ts';
import type { StepTemplates } from './templates.ts';

/** Kinds that can stand in for another step: they do their work at once and give an output. */
const standIns = new Set(['transform', 'llm', 'tool', 'artifact', 'plan']);

/** `onError: { step }`: the fallback needs the step it stands in for, and whoever needs that step needs the fallback, too. */
export function applyFallbacks(steps: readonly StepTemplates[], numbers: ReadonlyMap<string, number>, graph: PlanGraph, faults: FaultList): void {
  const fallbacks = new Map<number, number>();
  for (const [number, step] of steps.entries()) {
    const fallback = fallbackOf(step, number, steps, numbers, graph, faults);
    if (fallback === null) continue;
    fallbacks.set(number, fallback);
    graph.fallbackOf[fallback] = number;
    graph.needs[fallback]?.add(number);
  }
  for (const [number, fallback] of alongChains(fallbacks)) {
    for (const [other, needs] of graph.needs.entries()) {
      if (other === fallback || !needs.has(number)) continue;
      needs.add(fallback);
      graph.fallbacks[other]?.add(fallback);
    }
  }
}

/** A step before the fallback of its fallback: who needs the first needs them all. */
function alongChains(fallbacks: ReadonlyMap<number, number>): Map<number, number> {
  const standIns = new Set(fallbacks.values());
  const ordered = new Map<number, number>();
  for (const first of [...fallbacks.keys()].toSorted((one, other) => Number(standIns.has(one)) - Number(standIns.has(other)))) {
    let next = fallbacks.get(first);
    for (let number = first; next !== undefined && !ordered.has(number); next = fallbacks.get(number)) {
      ordered.set(number, next);
      number = next;
    }
  }
  return ordered;
}

function fallbackOf(
  step: StepTemplates,
  number: number,
  steps: readonly StepTemplates[],
  numbers: ReadonlyMap<string, number>,
  graph: PlanGraph,
  faults: FaultList,
): number | null {
  const { onError } = step.definition;
  if (typeof onError !== 'object' || !('step' in onError)) return null;
  const pointer = `/steps/${step.id}/onError/step`;
  const target = numbers.get(onError.step);
  const fallback = target === undefined ? undefined : steps[target];
  const fault = (message: string, suggestion?: string): null => {
    faults.add(pointer, message, { suggestion });
    return null;
  };
  if (target === undefined || fallback === undefined) return fault(`there is no step "${onError.step}"`, didYouMean(onError.step, numbers.keys()));
  if (target === number) return fault(`step "${step.id}" cannot stand in for itself`);
  const taken = graph.fallbackOf[target];
  if (taken !== undefined) return fault(`step "${onError.step}" already stands in for "${steps[taken]?.id ?? ''}"`);
  if (!standIns.has(fallback.kind))
    return fault(`step "${onError.step}" is of kind ${fallback.kind}; only ${[...standIns].join(', ')} can stand in for another step`);
  if (fallback.forEach !== null) return fault(`step "${onError.step}" has forEach; only a step that runs once can stand in for another`);
  return target;
}

/** An approval is asked for before it is known whether the fallback runs. */
export function refuseGatedFallbacks(steps: readonly StepTemplates[], graph: PlanGraph, faults: FaultList): void {
  for (const [number, step] of steps.entries()) {
    const gate = graph.gates[number];
    if (graph.fallbackOf[number] === undefined || gate === undefined) continue;
    faults.add(
      `/steps/${step.id}`,
      `step "${step.id}" stands in for another when that fails, so the approval "${steps[gate]?.id ?? ''}" cannot be asked for it beforehand`,
      {
        part: 'key',
        suggestion: `let the approval be \`for\` the step it stands in for`,
      },
    );
  }
}
