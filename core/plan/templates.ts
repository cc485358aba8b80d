import { readTemplate, type Template } from '#core/expression/template.ts';
import type { ConditionalWait, LineForm, PlanStep, Repeat, Undo } from '#schemas/plan.ts';
import type { Json } from '#schemas/json.ts';
import type { StepKind } from '#schemas/shape.ts';
import type { FaultList } from './fault-list.ts';
import { kindOf } from './document.ts';

/** A step's expressions, parsed. */
export interface StepTemplates {
  id: string;
  kind: StepKind;
  definition: PlanStep;
  when: Template | null;
  /** The list, or with `lines` the id of the artifact. */
  forEach: Template | null;
  lines: LineForm | null;
  /** Where `forEach` stands in the document. */
  forEachPointer: string;
  /** Whether another round is to follow; null: it runs once. */
  repeat: { condition: Template; pointer: string } | null;
  /** Whether what a wait looks at is there; null: it is no such wait. */
  check: { condition: Template; pointer: string } | null;
  /** The value that stands in for the output of a failed step. */
  onError: Template | null;
  /** The input of the tool that takes its effect back; null: nothing does. */
  undo: { tool: string; input: Template; pointer: string } | null;
  input: Template;
  /** Where `input` stands in the document. */
  inputPointer: string;
}

export function readStepTemplates(id: string, definition: PlanStep, faults: FaultList): StepTemplates {
  const base = `/steps/${id}`;
  const { value, pointer } = inputOf(definition);
  return {
    id,
    kind: kindOf(definition),
    definition,
    when: definition.when === undefined ? null : readWhole(definition.when, `${base}/when`, 'when', faults),
    ...readItems(definition, base, faults),
    repeat: readRepeat(definition, base, faults),
    check: readCheck(definition, base, faults),
    onError: readErrorValue(definition, base, faults),
    undo: readUndo(definition, base, faults),
    input: read(value, `${base}${pointer}`, faults),
    inputPointer: `${base}${pointer}`,
  };
}

function readItems({ forEach }: PlanStep, base: string, faults: FaultList): Pick<StepTemplates, 'forEach' | 'lines' | 'forEachPointer'> {
  const pointer = `${base}/forEach`;
  if (forEach === undefined) return { forEach: null, lines: null, forEachPointer: pointer };
  if (typeof forEach === 'string' || Array.isArray(forEach))
    return { forEach: readWhole(forEach, pointer, 'forEach', faults), lines: null, forEachPointer: pointer };
  const ofArtifact = `${pointer}/artifact`;
  return { forEach: read(forEach.artifact, ofArtifact, faults), lines: forEach.lines, forEachPointer: ofArtifact };
}

function readRepeat(definition: PlanStep, base: string, faults: FaultList): StepTemplates['repeat'] {
  const repeat = repeatOf(definition);
  if (repeat === null) return null;
  const name = repeat.until === undefined ? 'while' : 'until';
  const pointer = `${base}/repeat/${name}`;
  return { condition: readWhole(repeat[name] ?? '', pointer, name, faults), pointer };
}

function readCheck(definition: PlanStep, base: string, faults: FaultList): StepTemplates['check'] {
  const wait = conditionalWaitOf(definition);
  const pointer = `${base}/wait/until`;
  return wait === null ? null : { condition: readWhole(wait.until, pointer, 'until', faults), pointer };
}

export const conditionalWaitOf = (definition: PlanStep): ConditionalWait | null =>
  'wait' in definition && 'check' in definition.wait ? definition.wait : null;

/** The tool that a step calls, for its work or to look whether it may go on. */
export const toolNameOf = (definition: PlanStep): string | null =>
  'tool' in definition ? definition.tool : (conditionalWaitOf(definition)?.check.tool ?? null);

export const repeatOf = (definition: PlanStep): Repeat | null => ('repeat' in definition ? (definition.repeat ?? null) : null);

const readErrorValue = ({ onError }: PlanStep, base: string, faults: FaultList): Template | null =>
  typeof onError === 'object' && 'value' in onError ? read(onError.value, `${base}/onError/value`, faults) : null;

function readUndo(definition: PlanStep, base: string, faults: FaultList): StepTemplates['undo'] {
  const undo = undoOf(definition);
  const pointer = `${base}/undo/with`;
  return undo === null ? null : { tool: undo.tool, input: read(undo.with ?? {}, pointer, faults), pointer };
}

export const undoOf = (definition: PlanStep): Undo | null => ('undo' in definition ? (definition.undo ?? null) : null);

/** Every tool that a step may call. */
export const toolsOfStep = (definition: PlanStep): string[] => [toolNameOf(definition), undoOf(definition)?.tool ?? null].filter((name) => name !== null);

/** The part of a step that is evaluated into its input, and where it stands. Keys keep their names so that pointers stay true. */
function inputOf(step: PlanStep): { value: Json; pointer: string } {
  if ('transform' in step) return { value: step.transform, pointer: '/transform' };
  if ('llm' in step) return { value: { model: step.llm.model, with: step.llm.with ?? {} }, pointer: '/llm' };
  if ('tool' in step || 'plan' in step) return { value: step.with ?? {}, pointer: '/with' };
  if ('artifact' in step) return { value: step.artifact as Json, pointer: '/artifact' };
  const conditional = conditionalWaitOf(step);
  if (conditional !== null) return { value: conditional.check.with ?? {}, pointer: '/wait/check/with' };
  if ('wait' in step) return { value: step.wait as Json, pointer: '/wait' };
  if ('signal' in step) return { value: { name: step.signal.name }, pointer: '/signal' };
  const { message } = step.approval;
  return { value: message === undefined ? {} : { message }, pointer: '/approval' };
}

export function read(value: Json, pointer: string, faults: FaultList): Template {
  const { template, faults: found } = readTemplate(value);
  for (const fault of found) faults.addTemplateFault(pointer, fault);
  for (const { expression, pointer: inner, offset } of template.expressions) {
    for (const fault of expression.dynamicSteps) faults.addTemplateFault(pointer, { ...fault, pointer: inner, source: expression.source, offset });
  }
  return template;
}

/** `when` and `forEach` are one expression or a plain value: text around an expression would always be true, and never a list. */
function readWhole(value: Json, pointer: string, name: 'when' | 'forEach' | 'until' | 'while', faults: FaultList): Template {
  const before = faults.faults.length;
  const template = read(typeof value === 'string' ? value.trim() : value, pointer, faults);
  if (faults.faults.length > before) return template;
  const whole = template.root.kind === 'expression' || typeof value !== 'string';
  if (!whole && template.expressions.length > 0) {
    faults.add(pointer, `${name} must be one expression with nothing around it`);
  } else if (!whole) {
    faults.add(pointer, `${name} must be an expression, and this is plain text`, { suggestion: `write "\${${String(value).trim()}}"` });
  }
  return template;
}
