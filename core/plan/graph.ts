import type { ApprovalStep } from '#schemas/plan.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { applyFallbacks, refuseGatedFallbacks } from './fallbacks.ts';
import type { FaultList } from './fault-list.ts';
import type { PlanGraph } from './plan-graph.ts';
import type { StepTemplates } from './templates.ts';
import type { Template } from '#core/expression/template.ts';

/** Reads who needs whom. Unknown ids and forbidden references become faults; the graph is then incomplete. */
export function readGraph(steps: StepTemplates[], faults: FaultList): PlanGraph {
  const numbers = new Map(steps.map(({ id }, number) => [id, number]));
  const needs = steps.map(() => new Set<number>());
  const whenMentions = steps.map(() => new Set<number>());
  for (const [number, step] of steps.entries()) {
    const own = { step, number, numbers, faults };
    for (const target of mentioned(own, step.when, `/steps/${step.id}/when`)) {
      needs[number]?.add(target);
      whenMentions[number]?.add(target);
    }
    for (const target of mentioned(own, step.forEach, step.forEachPointer)) needs[number]?.add(target);
    for (const target of mentioned(own, step.input, step.inputPointer)) needs[number]?.add(target);
    for (const target of mentioned(own, step.repeat?.condition ?? null, step.repeat?.pointer ?? '')) needs[number]?.add(target);
    for (const target of mentioned(own, step.check?.condition ?? null, step.check?.pointer ?? '')) needs[number]?.add(target);
    for (const target of mentioned(own, step.onError, `/steps/${step.id}/onError/value`)) needs[number]?.add(target);
    for (const target of writtenNeeds(own)) needs[number]?.add(target);
    refuseUnknownInUndo(own);
  }
  const graph: PlanGraph = {
    needs,
    gates: steps.map(() => undefined),
    whenMentions,
    fallbackOf: steps.map(() => undefined),
    fallbacks: steps.map(() => new Set<number>()),
  };
  applyFallbacks(steps, numbers, graph, faults);
  applyApprovals(steps, numbers, graph, faults);
  refuseGatedFallbacks(steps, graph, faults);
  return graph;
}

interface Reference {
  step: StepTemplates;
  number: number;
  numbers: Map<string, number>;
  faults: FaultList;
}

function mentioned({ step, number, numbers, faults }: Reference, template: Template | null, base: string): number[] {
  if (template === null || template.steps.size === 0) return [];
  const found: number[] = [];
  for (const id of template.steps) {
    const target = numbers.get(id);
    if (target === undefined) unknownMention(template, base, id, numbers, faults);
    else if (target === number) faults.add(base, `step "${step.id}" reads its own result`);
    else found.push(target);
  }
  return found;
}

/** An undo needs nothing: it runs when the run is over, and sees of other steps what has become of them by then. */
function refuseUnknownInUndo({ step, numbers, faults }: Reference): void {
  if (step.undo === null) return;
  for (const id of step.undo.input.steps) if (!numbers.has(id)) unknownMention(step.undo.input, step.undo.pointer, id, numbers, faults);
}

/** One fault for each place that mentions the unknown step. */
export function unknownMention(template: Template, base: string, id: string, numbers: Map<string, number>, faults: FaultList): void {
  const suggestion = didYouMean(id, numbers.keys());
  for (const { expression, pointer, offset } of template.expressions) {
    if (!expression.steps.includes(id)) continue;
    const start = Math.max(0, expression.source.indexOf(id));
    const fault = { pointer, source: expression.source, offset, start, end: start + id.length, message: `there is no step "${id}"` };
    faults.addTemplateFault(base, suggestion === undefined ? fault : { ...fault, suggestion });
  }
}

function writtenNeeds({ step, number, numbers, faults }: Reference): number[] {
  const found: number[] = [];
  for (const [index, id] of (step.definition.needs ?? []).entries()) {
    const pointer = `/steps/${step.id}/needs/${index}`;
    const target = numbers.get(id);
    if (target === undefined) faults.add(pointer, `there is no step "${id}"`, { suggestion: didYouMean(id, numbers.keys()) });
    else if (target === number) faults.add(pointer, `step "${id}" needs itself`);
    else found.push(target);
  }
  return found;
}

/** Kinds an approval can stand before: they have an input that can be shown and stored. */
const gateable = new Set(['transform', 'llm', 'tool', 'artifact']);

/**
 * `approval.for`: the gated steps need the approval, and the approval needs what they need, so that their input can be shown.
 * What they need of each other only orders them and is left out.
 */
function applyApprovals(steps: StepTemplates[], numbers: Map<string, number>, graph: PlanGraph, faults: FaultList): void {
  const written = graph.needs.map((needs) => [...needs]);
  for (const [approval, step] of steps.entries()) {
    if (!('approval' in step.definition)) continue;
    const gated = gatedSteps(step.definition, step, numbers, steps, graph, faults);
    const ids = gated.map((target) => (steps[target] as StepTemplates).id);
    for (const target of gated) {
      graph.gates[target] ??= approval;
      refuseReadsOfGated(steps[target] as StepTemplates, step.id, ids, faults);
      graph.needs[target]?.add(approval);
    }
    const inherited = new Set(gated.flatMap((target) => written[target] ?? []).filter((need) => need !== approval && !gated.includes(need)));
    for (const need of inherited) inheritNeed(need, approval, gated, graph);
  }
}

/** A skip of the need skips the approval only where it skips what is covered, too: what runs all the same must be asked for. */
function inheritNeed(need: number, approval: number, gated: readonly number[], graph: PlanGraph): void {
  if (graph.needs[approval]?.has(need) === true) return;
  graph.needs[approval]?.add(need);
  const needing = gated.filter((target) => graph.needs[target]?.has(need));
  const standsIn = (target: number): boolean => graph.fallbacks[target]?.has(need) === true;
  if (!needing.every((target) => standsIn(target) || graph.whenMentions[target]?.has(need) === true)) return;
  (needing.some(standsIn) ? graph.fallbacks : graph.whenMentions)[approval]?.add(need);
}

function gatedSteps(
  { approval }: ApprovalStep,
  step: StepTemplates,
  numbers: Map<string, number>,
  steps: StepTemplates[],
  graph: PlanGraph,
  faults: FaultList,
): number[] {
  const gated: number[] = [];
  if (step.forEach !== null && approval.for !== undefined) {
    faults.add(
      `/steps/${step.id}/approval/for`,
      `approval "${step.id}" has forEach: each of its items covers what its own message shows, and cannot cover a step`,
      {
        suggestion: `leave \`for\` out, and let the step read the decisions, e.g. forEach: \${steps.${step.id}.output.filter(one, one.approved)}`,
      },
    );
    return [];
  }
  for (const [index, id] of (approval.for ?? []).entries()) {
    const pointer = `/steps/${step.id}/approval/for/${index}`;
    const target = numbers.get(id);
    if (target === undefined) {
      faults.add(pointer, `there is no step "${id}"`, { suggestion: didYouMean(id, numbers.keys()) });
      continue;
    }
    const { kind, forEach, repeat } = steps[target] as StepTemplates;
    const other = graph.gates[target];
    if (gated.includes(target)) faults.add(pointer, `step "${id}" is named twice`);
    else if (!gateable.has(kind)) faults.add(pointer, `step "${id}" is of kind ${kind}; an approval can only stand before ${[...gateable].join(', ')}`);
    else if (forEach !== null)
      faults.add(pointer, `step "${id}" has forEach; an approval can only stand before a step that runs once`, {
        suggestion: `let "${id}" need the approval by \`needs\` instead, and show the items in its message`,
      });
    else if (repeat !== null)
      faults.add(pointer, `step "${id}" has repeat; an approval can only stand before a step that runs once`, {
        suggestion: `let "${id}" need the approval by \`needs\` instead`,
      });
    else if (other !== undefined) faults.add(pointer, `step "${id}" already waits for the approval "${steps[other]?.id ?? ''}"`);
    else gated.push(target);
  }
  return gated;
}

/** The input is fixed before the decision, so it cannot depend on it, nor on what only runs after it. */
function refuseReadsOfGated(gated: StepTemplates, approvalId: string, forIds: string[], faults: FaultList): void {
  for (const id of gated.input.steps) {
    if (id === approvalId) {
      faults.add(gated.inputPointer, `the input of "${gated.id}" is fixed before "${approvalId}" is decided, so it cannot read it`, {
        suggestion: 'read the decision in `when`, or in a later step',
      });
    } else if (forIds.includes(id) && id !== gated.id) {
      faults.add(gated.inputPointer, `"${gated.id}" and "${id}" wait for the same approval, so the input of one cannot read the other`, {
        suggestion: `give "${gated.id}" an approval of its own`,
      });
    }
  }
}

/** Step numbers so that every step comes after its needs; a cycle becomes a fault that names its path, and null is returned. */
export function orderSteps(steps: StepTemplates[], graph: PlanGraph, faults: FaultList): number[] | null {
  const waiting = graph.needs.map((needs) => needs.size);
  const dependants = dependantsOf(graph);
  const order: number[] = [];
  for (let number = 0; number < waiting.length; number += 1) if (waiting[number] === 0) order.push(number);
  for (let next = 0; next < order.length; next += 1) {
    for (const dependant of dependants[order[next] as number] ?? []) {
      waiting[dependant] = (waiting[dependant] ?? 0) - 1;
      if (waiting[dependant] === 0) order.push(dependant);
    }
  }
  if (order.length === steps.length) return order;
  reportCycle(steps, graph, waiting, faults);
  return null;
}

export function dependantsOf(graph: PlanGraph): number[][] {
  const dependants: number[][] = graph.needs.map(() => []);
  for (const [number, needs] of graph.needs.entries()) for (const need of needs) dependants[need]?.push(number);
  return dependants;
}

/** Every step that still waits needs another that still waits: following those leads into a cycle. */
function reportCycle(steps: StepTemplates[], graph: PlanGraph, waiting: number[], faults: FaultList): void {
  const path: number[] = [];
  const seen = new Map<number, number>();
  let current = waiting.findIndex((count) => count > 0);
  while (!seen.has(current)) {
    seen.set(current, path.length);
    path.push(current);
    current = [...(graph.needs[current] ?? [])].find((need) => (waiting[need] ?? 0) > 0) ?? current;
  }
  const cycle = path.slice(seen.get(current));
  const names = [...cycle, current].map((number) => steps[number]?.id ?? '');
  const first = steps[current];
  faults.add(`/steps/${first?.id ?? ''}`, `these steps wait for each other: ${names.join(' needs ')}`, {
    part: 'key',
    suggestion: 'take one of these needs away',
  });
}
