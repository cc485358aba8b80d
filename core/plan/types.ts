import { checkTemplate, type StaticScope, type TypedTemplate } from '#core/expression/check.ts';
import {
  boolType,
  couldBe,
  dyn,
  intType,
  listOf,
  nameOf,
  numberType,
  objectOf,
  type StaticType,
  stringType,
  typeFromSchema,
} from '#core/expression/static-type.ts';
import type { Template } from '#core/expression/template.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Plan, SignalStep } from '#schemas/plan.ts';
import type { CalledPlans } from './called-plans.ts';
import type { PlanEnvironment, ToolDescriptor } from './compiled.ts';
import { checkConformance } from './conformance.ts';
import type { FaultList } from './fault-list.ts';
import { conditionalWaitOf, type StepTemplates, toolNameOf } from './templates.ts';

const errorType = objectOf({ code: stringType, message: stringType, fix: stringType, stepPath: stringType });
const runType = objectOf({ id: stringType, startedAt: stringType });

/** What the activities of these kinds put out. */
const artifactType = objectOf({ artifactId: stringType, name: stringType, mediaType: stringType, sha256: stringType, sizeBytes: intType });
const approvalType = objectOf({ approved: boolType, approvalId: stringType, by: stringType, reason: stringType, at: stringType });
const waitType = objectOf({ until: stringType });

const itemAbsent = 'is only known in a step with forEach';
const itemTooEarly = 'is not known yet: when and forEach are evaluated once, before the items';

interface Checker {
  faults: FaultList;
  tools: Map<string, ToolDescriptor>;
  toolTypes: Map<string, StaticType>;
  plans: CalledPlans;
  /** Grows while the steps are checked in order: a step sees the types of those before it. */
  stepTypes: Map<string, StaticType>;
  input: StaticType;
}

/** Checks every expression's types, and every tool's input against its schema. */
export function checkTypes(
  { plan, steps, output, order, environment }: { plan: Plan; steps: StepTemplates[]; output: Template; order: number[]; environment: PlanEnvironment },
  faults: FaultList,
): void {
  const checker: Checker = {
    faults,
    tools: new Map(environment.tools.map((tool) => [tool.name, tool])),
    toolTypes: new Map(),
    plans: environment.plans ?? new Map(),
    stepTypes: new Map(),
    input: plan.input === undefined ? objectOf({}) : typeFromSchema(plan.input),
  };
  for (const number of order) {
    const step = steps[number];
    if (step !== undefined) checkStep(step, checker);
  }
  const typed = checkTemplate(output, scopeOf(checker, itemAbsent));
  for (const fault of typed.faults) faults.addTemplateFault('/output', fault);
}

const errorAbsent = 'error is only known in the value of onError';
const absentElsewhere: readonly (readonly [string, string])[] = [
  ['arguments', 'arguments is only known in rules that approve'],
  ['body', 'body is only known in triggers'],
  ['headers', 'headers is only known in triggers'],
  ['iteration', 'iteration is only known in a step with repeat'],
  ['last', 'last is only known in a step with repeat'],
  ['output', 'output is only known in until and while of a repeat, and in undo'],
  ['check', 'check is only known in until of a wait with a check'],
];

/** What a step with repeat sees in its rounds. Nothing is known of `last`, which is null in the first. */
function withRound({ variables, absent }: StaticScope, output?: StaticType): StaticScope {
  const seen = new Map([...variables, ['iteration', intType], ['last', dyn], ...(output === undefined ? [] : [['output', output] as const])]);
  return { variables: seen, absent: new Map([...(absent ?? [])].filter(([name]) => !seen.has(name))) };
}

const withCheck = ({ variables, absent }: StaticScope, output: StaticType): StaticScope => ({
  variables: new Map([...variables, ['check', objectOf({ output })]]),
  absent: new Map([...(absent ?? [])].filter(([name]) => name !== 'check')),
});

/** What an undo sees, besides what its step saw: what that put out. `last` is gone by then. */
const withOwnOutput = ({ variables, absent }: StaticScope, output: StaticType): StaticScope => ({
  variables: new Map([...[...variables].filter(([name]) => name !== 'last'), ['output', output]]),
  absent: new Map([...[...(absent ?? [])].filter(([name]) => name !== 'output'), ['last', 'last is not known to an undo']]),
});

function checkUndo({ tool, input, pointer }: NonNullable<StepTemplates['undo']>, scope: StaticScope, checker: Checker): void {
  const typed = checkTemplate(input, scope);
  for (const fault of typed.faults) checker.faults.addTemplateFault(pointer, fault);
  checkToolInput(tool, { input, pointer, typed }, checker);
}

function checkToolInput(name: string, { input, pointer, typed }: { input: Template; pointer: string; typed: TypedTemplate }, checker: Checker): void {
  const tool = checker.tools.get(name);
  if (tool === undefined) return;
  for (const fault of checkConformance(input.root, tool.inputSchema, typed.typeOf))
    checker.faults.add(`${pointer}${fault.pointer}`, `${tool.name}: ${fault.message}`, { suggestion: fault.suggestion, part: fault.part });
}

function scopeOf(checker: Checker, absent: string, item?: StaticType): StaticScope {
  const variables = new Map<string, StaticType>([
    ['input', checker.input],
    // Unknown steps are reported where names are looked up, so they pass here.
    ['steps', { kind: 'object', fields: checker.stepTypes, rest: dyn }],
    ['run', runType],
  ]);
  if (item === undefined) {
    return {
      variables,
      absent: new Map([['item', `item ${absent}`], ['index', `index ${absent}`], ['error', errorAbsent], ...absentElsewhere]),
    };
  }
  variables.set('item', item);
  variables.set('index', intType);
  return { variables, absent: new Map([['error', errorAbsent], ...absentElsewhere]) };
}

function checkStep(step: StepTemplates, checker: Checker): void {
  const base = `/steps/${step.id}`;
  const outside = step.forEach === null ? itemAbsent : itemTooEarly;
  if (step.when !== null) expectType(step.when, boolType, `${base}/when`, 'when', scopeOf(checker, outside), checker);
  const item = step.forEach === null ? undefined : checkItems(step, step.forEach, outside, checker);
  const seen = scopeOf(checker, itemAbsent, item);
  const typed = checkTemplate(step.input, step.repeat === null ? seen : withRound(seen));
  for (const fault of typed.faults) checker.faults.addTemplateFault(step.inputPointer, fault);
  checkInput(step, typed, checker);
  const own = outputTypeOf(step, typed, checker);
  if (step.repeat !== null) {
    const { condition, pointer } = step.repeat;
    expectType(condition, boolType, pointer, pointer.slice(pointer.lastIndexOf('/') + 1), withRound(seen, own), checker);
  }
  if (step.check !== null)
    expectType(
      step.check.condition,
      boolType,
      step.check.pointer,
      'until',
      withCheck(seen, toolOutputType(toolNameOf(step.definition) ?? '', checker)),
      checker,
    );
  if (step.undo !== null) checkUndo(step.undo, withOwnOutput(step.repeat === null ? seen : withRound(seen), own), checker);
  const output = withErrorValue(step, item === undefined ? own : listOf(own), checker);
  checker.stepTypes.set(step.id, objectOf({ status: stringType, output, error: errorType }));
}

/** Answers the type of an item. */
function checkItems({ lines, forEachPointer }: StepTemplates, forEach: Template, outside: string, checker: Checker): StaticType {
  if (lines !== null) {
    expectType(forEach, stringType, forEachPointer, 'artifact', scopeOf(checker, outside), checker);
    return lines === 'text' ? stringType : dyn;
  }
  const items = expectType(forEach, listOf(dyn), forEachPointer, 'forEach', scopeOf(checker, outside), checker);
  return items.kind === 'list' ? items.element : dyn;
}

const isPlain = ({ kind }: StaticType): boolean => kind !== 'object' && kind !== 'list';

/** What stands in for the output of a failed step may be of another type: then nothing is known of it. */
function withErrorValue(step: StepTemplates, output: StaticType, checker: Checker): StaticType {
  const { onError } = step.definition;
  if (typeof onError === 'object' && 'step' in onError) return dyn;
  if (step.onError === null) return output;
  const { variables, absent } = scopeOf(checker, itemAbsent);
  const typed = checkTemplate(step.onError, { variables: new Map([...variables, ['error', errorType]]), ...(absent === undefined ? {} : { absent }) });
  for (const fault of typed.faults) checker.faults.addTemplateFault(`/steps/${step.id}/onError/value`, fault);
  return isPlain(output) && nameOf(typed.type) === nameOf(output) ? output : dyn;
}

function expectType(template: Template, wanted: StaticType, pointer: string, name: string, scope: StaticScope, checker: Checker): StaticType {
  const typed = checkTemplate(template, scope);
  for (const fault of typed.faults) checker.faults.addTemplateFault(pointer, fault);
  if (typed.faults.length === 0 && template.expressions.length + (template.root.kind === 'constant' ? 1 : 0) > 0 && !couldBe(typed.type, wanted)) {
    if (template.root.kind !== 'constant' || typeof template.root.value !== 'string')
      checker.faults.add(pointer, `${name} must be ${nameOf(wanted)}, and this is ${nameOf(typed.type)}`);
  }
  return typed.type;
}

/** Fields of a step's own form that may be expressions, with what they must give. */
const formTypes: Record<string, Record<string, StaticType>> = {
  llm: { model: stringType },
  artifact: { name: stringType, mediaType: stringType },
  wait: { forMs: numberType, until: stringType },
  transform: {},
  approval: {},
  signal: { name: stringType },
  plan: {},
};

function checkInput(step: StepTemplates, typed: TypedTemplate, checker: Checker): void {
  const toolName = toolNameOf(step.definition);
  if (toolName !== null) {
    return checkToolInput(toolName, { input: step.input, pointer: step.inputPointer, typed }, checker);
  }
  if ('plan' in step.definition) {
    const called = checker.plans.get(step.definition.plan);
    if (called === undefined) return;
    for (const fault of checkConformance(step.input.root, withoutDefaulted(called.inputSchema), typed.typeOf)) {
      checker.faults.add(`${step.inputPointer}${fault.pointer}`, `${step.definition.plan}: ${fault.message}`, {
        suggestion: fault.suggestion,
        part: fault.part,
      });
    }
    return;
  }
  if (typed.type.kind !== 'object') return;
  for (const [name, wanted] of Object.entries(formTypes[step.kind] ?? {})) {
    const actual = typed.type.fields.get(name);
    if (actual === undefined || couldBe(actual, wanted)) continue;
    checker.faults.add(`${step.inputPointer}/${name}`, `${name} must be ${nameOf(wanted)}, and this is ${nameOf(actual)}`);
  }
}

function outputTypeOf(step: StepTemplates, typed: TypedTemplate, checker: Checker): StaticType {
  const { definition } = step;
  if ('transform' in definition) return typed.type;
  if ('llm' in definition) return definition.llm.schema === undefined ? stringType : typeFromSchema(definition.llm.schema);
  if ('tool' in definition) return toolOutputType(definition.tool, checker);
  if ('artifact' in definition) return artifactType;
  if ('signal' in definition) return signalType(definition);
  if ('plan' in definition) return dyn;
  if (step.check !== null) return checkType(definition, checker);
  return 'approval' in definition ? approvalType : waitType;
}

/** What a plan takes from who runs it: a property with a default may be left out. */
function withoutDefaulted(schema: Json): Json {
  if (schema === null) return { type: 'object', properties: {}, additionalProperties: false };
  if (typeof schema !== 'object' || Array.isArray(schema) || !Array.isArray(schema['required'])) return schema;
  const properties = (schema['properties'] ?? {}) as JsonObject;
  const hasDefault = (name: Json): boolean => {
    const property = typeof name === 'string' ? properties[name] : undefined;
    return typeof property === 'object' && property !== null && 'default' in property;
  };
  return { ...schema, required: schema['required'].filter((name) => !hasDefault(name)) };
}

/** What a wait with a check puts out. Of a condition that may not have been met, nothing is known. */
function checkType(definition: StepTemplates['definition'], checker: Checker): StaticType {
  const output = conditionalWaitOf(definition)?.onExpiry === 'continue' ? dyn : toolOutputType(toolNameOf(definition) ?? '', checker);
  return objectOf({ met: boolType, output, checks: intType, at: stringType });
}

/** Of a signal that may not have come, nothing is known. */
function signalType({ signal }: SignalStep): StaticType {
  return signal.schema === undefined || signal.onExpiry === 'continue' ? dyn : typeFromSchema(signal.schema);
}

function toolOutputType(name: string, checker: Checker): StaticType {
  const known = checker.toolTypes.get(name);
  if (known !== undefined) return known;
  const tool = checker.tools.get(name);
  const type = tool === undefined ? dyn : typeFromSchema(tool.outputSchema);
  checker.toolTypes.set(name, type);
  return type;
}
