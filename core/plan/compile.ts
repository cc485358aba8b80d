import type { FaultDetail } from '#core/errors.ts';
import { type Plan, planLimits, stepDefaults } from '#schemas/plan.ts';
import type { PlanShape, StepShape } from '#schemas/shape.ts';
import type { CompiledPlan, CompiledStep, PlanEnvironment } from './compiled.ts';
import { FaultList, inTextOrder, mostFaults } from './fault-list.ts';
import { orderSteps, readGraph, unknownMention } from './graph.ts';
import type { PlanGraph } from './plan-graph.ts';
import { assemble, readSteps } from './load.ts';
import { type ParsedPlan, parsePlan } from './parse.ts';
import { checkConcurrency } from './concurrency.ts';
import { checkOnFailure } from './on-failure.ts';
import { checkReferences } from './references.ts';
import { isAtStandIn } from './sound-part.ts';
import { read, type StepTemplates, toolsOfStep } from './templates.ts';
import { checkTypes } from './types.ts';
import { divideIntoUnits, type FusionCandidate, fusionOf, hasQuickItems, isQuick } from './units.ts';

export type CompileResult = { ok: true; compiled: CompiledPlan } | { ok: false; faults: FaultDetail[] };

/** Checks a plan against what is installed and turns it into what runs. Executes nothing. */
export function compilePlan({ plan, document, locate }: ParsedPlan, environment: PlanEnvironment): CompileResult {
  const faults = new FaultList(locate);
  const templates = readSteps(plan, faults);
  const output = read(plan.output ?? null, '/output', faults);
  const numbers = new Map(templates.map(({ id }, number) => [id, number]));
  for (const id of output.steps) if (!numbers.has(id)) unknownMention(output, '/output', id, numbers, faults);
  const graph = readGraph(templates, faults);
  const order = orderSteps(templates, graph, faults);
  checkReferences(plan, templates, environment, faults);
  checkConcurrency(plan, faults);
  checkOnFailure(plan, environment.plans, faults);
  checkTypes({ plan, steps: templates, output, order: order ?? templates.map((_, number) => number), environment }, faults);
  if (faults.faults.length > 0 || order === null) return { ok: false, faults: inTextOrder(faults.faults) };

  const loaded = assemble(plan, document, templates, output);
  const unnamed = shapeOf(plan, loaded.steps, graph, divide(plan, loaded.steps, graph, order, environment));
  const bytes = bytesOf(unnamed);
  if (bytes > planLimits.shapeBytes) {
    faults.add('/steps', `the steps need each other in too many ways: the plan's shape has ${bytes} bytes, ${planLimits.shapeBytes} are allowed`, {
      suggestion: 'let a step in between collect what many steps read',
    });
    return { ok: false, faults: faults.faults };
  }
  const named: PlanShape = { ...unnamed, names: loaded.steps.map(({ id }) => id) };
  const shape = bytesOf(named) > planLimits.shapeBytes ? unnamed : named;
  return { ok: true, compiled: { ...loaded, shape, tools: toolsOf(templates, environment) } };
}

const bytesOf = (shape: PlanShape): number => Buffer.byteLength(JSON.stringify(shape));

/** From text to a compiled plan in one call. */
export function compilePlanText(text: string, environment: PlanEnvironment, format: 'yaml' | 'json' = 'yaml'): CompileResult {
  const parsed = parsePlan(text, format);
  if (parsed.ok) return compilePlan(parsed.parsed, environment);
  const { faults, sound } = parsed;
  if (sound === null) return { ok: false, faults };
  const compiled = compilePlan(sound.parsed, environment);
  const others = compiled.ok ? [] : compiled.faults.filter(({ pointer }) => !isAtStandIn(pointer, sound.standIns));
  return { ok: false, faults: inTextOrder([...faults, ...others]).slice(0, mostFaults) };
}

interface Division extends Pick<PlanShape, 'units' | 'quick'> {
  /** Steps, by number, whose items are quickly done. */
  quickItems: ReadonlySet<number>;
}

function divide(plan: Plan, steps: CompiledStep[], graph: PlanGraph, order: number[], environment: PlanEnvironment): Division {
  const fuse = plan.fuse ?? 'pure';
  const tools = new Map(environment.tools.map((tool) => [tool.name, tool]));
  const judged = steps.map(({ kind, forEach, repeat, fallbackOf, definition, timeoutMs }) => {
    const tool = 'tool' in definition ? tools.get(definition.tool) : undefined;
    const candidate: FusionCandidate = { kind, toolEffect: tool?.effect ?? null, items: forEach !== null, rounds: repeat !== null, timeoutMs };
    const isQuickTool = tool?.quick === true;
    return {
      kind,
      fusable: fallbackOf === null && fusionOf(fuse, candidate),
      quick: isQuick(fuse, candidate, isQuickTool),
      quickItems: hasQuickItems(fuse, candidate, isQuickTool),
    };
  });
  const units = divideIntoUnits(judged, graph, order);
  const quick = units.flatMap((unit, number) => (unit.every((step) => judged[step]?.quick === true) ? [number] : []));
  const quickItems = new Set(judged.flatMap((step, number) => (step.quickItems ? [number] : [])));
  return { units, ...(quick.length === 0 ? {} : { quick }), quickItems };
}

function shapeOf(plan: Plan, steps: CompiledStep[], graph: PlanGraph, { quickItems, ...division }: Division): PlanShape {
  return {
    steps: steps.map((step) => stepShapeOf(step, graph, quickItems.has(step.number))),
    ...division,
    maxInFlight: plan.maxInFlight ?? stepDefaults.maxInFlight,
    timeoutMs: plan.timeoutMs ?? null,
  };
}

function stepShapeOf(step: CompiledStep, graph: PlanGraph, hasQuickItems: boolean): StepShape {
  const gate = graph.gates[step.number];
  const whenMentions = ascending(graph.whenMentions[step.number]);
  const fallbackOf = graph.fallbackOf[step.number];
  const fallbacks = ascending(graph.fallbacks[step.number]);
  const tolerated = step.onFailure.do !== 'fail';
  return {
    kind: step.kind,
    needs: ascending(graph.needs[step.number]),
    ...(gate === undefined ? {} : { gate }),
    ...(step.when === null ? {} : { when: true }),
    ...(whenMentions.length === 0 ? {} : { whenMentions }),
    ...(tolerated ? { tolerated: true } : {}),
    ...(fallbackOf === undefined ? {} : { fallbackOf }),
    ...(fallbacks.length === 0 ? {} : { fallbacks }),
    ...(step.forEach === null ? {} : { forEach: forEachShapeOf(step, tolerated, hasQuickItems) }),
    ...(step.repeat === null ? {} : { repeat: { maxIterations: step.repeat.maxIterations } }),
    ...(step.undo === null ? {} : { undo: { timeoutMs: step.undo.timeoutMs } }),
    timeoutMs: step.timeoutMs,
  };
}

const forEachShapeOf = ({ concurrency, toleratedItems }: CompiledStep, tolerated: boolean, quick: boolean): NonNullable<StepShape['forEach']> => ({
  concurrency,
  ...(tolerated && toleratedItems !== null ? { contained: true } : {}),
  ...(quick ? { quick: true } : {}),
});

function ascending(numbers: Set<number> | undefined): number[] {
  return [...(numbers ?? [])].toSorted((a, b) => a - b);
}

function toolsOf(templates: StepTemplates[], environment: PlanEnvironment): CompiledPlan['tools'] {
  const used = new Set(templates.flatMap(({ definition }) => toolsOfStep(definition)));
  return environment.tools.filter(({ name }) => used.has(name)).map(({ name, version, effect }) => ({ name, version, effect }));
}
