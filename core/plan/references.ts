import { checkPrompt } from '#core/prompt/check.ts';
import { type Plan, planLimits, signalNamePattern, type SignalStep } from '#schemas/plan.ts';
import { type CalledPlans, faultOfCall } from './called-plans.ts';
import { checkApproval } from './approval-checks.ts';
import type { PlanEnvironment } from './compiled.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import type { FaultList } from './fault-list.ts';
import { checkInputSchema } from './input-schema.ts';
import { type StepTemplates, toolNameOf } from './templates.ts';

/** Names outside the plan (tools, models) and languages inside it (JSON Schema, Jinja, instants). */
export function checkReferences(plan: Plan, steps: StepTemplates[], environment: PlanEnvironment, faults: FaultList): void {
  if (plan.input !== undefined) {
    for (const fault of checkInputSchema(plan.input)) faults.add(`/input${fault.pointer}`, fault.message, { suggestion: fault.suggestion });
  }
  const tools = new Set(environment.tools.map(({ name }) => name));
  const effectful = new Set(environment.tools.filter(({ effect }) => effect === 'effectful').map(({ name }) => name));
  const models = new Set(environment.models);
  for (const step of steps) {
    const { definition } = step;
    const tool = toolNameOf(definition);
    const place = `/steps/${step.id}/${'tool' in definition ? 'tool' : 'wait/check/tool'}`;
    if (tool !== null && !tools.has(tool)) faults.add(place, `there is no tool "${tool}"`, { suggestion: didYouMean(tool, tools) ?? listed(tools) });
    if (step.check !== null && environment.tools.some(({ name, effect }) => name === tool && effect === 'effectful')) {
      faults.add(place, `the tool "${tool}" is effectful, and a check is made again and again`, { suggestion: 'use a tool that is pure or idempotent' });
    }
    if ('tool' in definition && definition.cache !== undefined && effectful.has(definition.tool)) {
      faults.add(`/steps/${step.id}/cache`, `${definition.tool} is effectful: an earlier call cannot stand in for this one`, {
        suggestion: 'leave `cache` out; what only looks something up may have it',
      });
    }
    if (step.undo !== null) checkUndo(step, step.undo.tool, environment, faults);
    if ('llm' in definition) checkModelCall(step, definition.llm, models, faults);
    if ('wait' in definition) checkWait(step, faults);
    if ('plan' in definition && environment.plans !== undefined) checkCall(plan.plan, step, definition.plan, environment.plans, faults);
    if ('signal' in definition) checkSignal(step, definition, faults);
    if ('approval' in definition) checkApproval(step.id, definition, faults);
  }
}

function checkUndo({ id, definition }: StepTemplates, undo: string, environment: PlanEnvironment, faults: FaultList): void {
  const base = `/steps/${id}/undo`;
  const tools = new Map(environment.tools.map(({ name, effect }) => [name, effect]));
  const effect = tools.get(undo);
  if (effect === undefined)
    faults.add(`${base}/tool`, `there is no tool "${undo}"`, { suggestion: didYouMean(undo, tools.keys()) ?? listed(new Set(tools.keys())) });
  if (effect === 'pure') {
    faults.add(`${base}/tool`, `the tool "${undo}" is pure: it changes nothing, so it undoes nothing`, {
      suggestion: 'use a tool that is idempotent or effectful',
    });
  }
  if ('tool' in definition && tools.get(definition.tool) === 'pure')
    faults.add(base, `${definition.tool} is pure: there is nothing to undo`, { suggestion: 'leave `undo` out' });
  if ('cache' in definition && definition.cache !== undefined) {
    faults.add(base, 'a step with cache may have done nothing itself: what it would undo may be what another run did', {
      suggestion: 'leave `cache` or `undo` out',
    });
  }
}

function listed(names: Set<string>): string | undefined {
  return names.size === 0 || names.size > 40 ? undefined : `known: ${[...names].toSorted().join(', ')}`;
}

type ModelCall = Extract<StepTemplates['definition'], { llm: unknown }>['llm'];

function checkModelCall(step: StepTemplates, call: ModelCall, models: Set<string>, faults: FaultList): void {
  const base = `/steps/${step.id}/llm`;
  if (!call.model.includes('${') && !resolves(call.model, models)) {
    faults.add(`${base}/model`, `there is no model "${call.model}"`, { suggestion: didYouMean(call.model, models) ?? listed(models) });
  }
  const variables = Object.keys(call.with ?? {});
  for (const name of ['prompt', 'system'] as const) {
    const template = call[name];
    if (template === undefined) continue;
    for (const { message, suggestion, word } of checkPrompt(template, variables)) faults.add(`${base}/${name}`, message, { suggestion, word });
  }
  if (call.schema !== undefined) {
    for (const fault of checkInputSchema(call.schema, { anyType: true }))
      faults.add(`${base}/schema${fault.pointer}`, fault.message, { suggestion: fault.suggestion });
  }
}

/** A provider that is not set up yet may be named; one whose models are all known may not be misspelt. */
function resolves(model: string, models: Set<string>): boolean {
  if (models.has(model)) return true;
  const provider = /^([a-z0-9-]+)\/.+/.exec(model)?.[1];
  return provider !== undefined && provider !== 'builtin';
}

/** RFC 3339: without an offset the instant would depend on where the worker stands. */
const instantPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

export function isInstant(text: string): boolean {
  return instantPattern.test(text) && !Number.isNaN(Date.parse(text));
}

function checkCall(name: string, step: StepTemplates, reference: string, plans: CalledPlans, faults: FaultList): void {
  const found = faultOfCall(name, reference, plans);
  if (found === null) return;
  const pointer = `/steps/${step.id}/plan`;
  switch (found.fault) {
    case 'unknown': {
      const place = found.reference === reference ? '' : `, which "${reference}" runs`;
      faults.add(pointer, `there is no plan "${found.reference}"${place}`, {
        suggestion: 'save it first: kai plan save FILE; see what there is: kai plan list',
      });
      return;
    }
    case 'recursion':
      faults.add(pointer, `plans would run each other without end: ${found.path.join(' → ')}`, { suggestion: 'let one of them be without that step' });
      return;
    case 'depth':
      faults.add(pointer, `plans would run more than ${planLimits.depth} deep below one another: ${found.path.join(' → ')}`);
  }
}

function checkSignal(step: StepTemplates, { signal }: SignalStep, faults: FaultList): void {
  const base = `/steps/${step.id}/signal`;
  if (step.input.root.kind === 'constant' && !signalNamePattern.test(signal.name)) {
    faults.add(`${base}/name`, `"${signal.name}" is no name of a signal`, {
      suggestion: 'use letters, digits and _ . : @ / -, at most 128, a letter or digit first',
    });
  }
  if (signal.schema === undefined) return;
  for (const fault of checkInputSchema(signal.schema, { anyType: true }))
    faults.add(`${base}/schema${fault.pointer}`, fault.message, { suggestion: fault.suggestion });
}

function checkWait(step: StepTemplates, faults: FaultList): void {
  const { root } = step.input;
  if (step.check !== null || root.kind !== 'constant') return;
  const wait = root.value as { forMs?: unknown; until?: unknown };
  if (typeof wait.forMs === 'string') faults.add(`/steps/${step.id}/wait/forMs`, 'forMs is a number of milliseconds, and this is text');
  if (typeof wait.until === 'string' && !isInstant(wait.until)) {
    faults.add(`/steps/${step.id}/wait/until`, `"${wait.until}" is no instant`, { suggestion: 'write it with its offset, as in 2031-01-31T09:00:00Z' });
  }
}
