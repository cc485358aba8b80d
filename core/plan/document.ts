import type { z } from 'zod';
import { escapePointer } from '#core/expression/template.ts';
import { conditionalWaitStepSchema, type Plan, planHeaderSchema, type PlanStep, planLimits, stepIdSchema, stepSchemas } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { StepKind } from '#schemas/shape.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { inPlainWords } from '#core/schema-words.ts';
import { type DocumentFault, faultsOf, keyFault, valueFault } from './schema-faults.ts';

export type ReadDocument = { ok: true; plan: Plan; document: JsonObject } | { ok: false; faults: DocumentFault[] };

/** What is said of a text that holds nothing, or comments alone. */
export const emptyPlan = { message: 'the plan is empty', suggestion: 'begin with "plan: NAME" and "steps:"' };

const kinds = Object.keys(stepSchemas) as StepKind[];

/** Keys that not every kind of step may have, and what is said to those that may not. */
const particular = [
  { key: 'repeat', cannot: 'cannot repeat' },
  { key: 'undo', cannot: 'cannot have an undo' },
].map((known) => ({ ...known, kinds: kinds.filter((kind) => known.key in stepSchemas[kind].shape) }));

/** Checks a document's form: known keys, types, bounds. Each step is held against the schema of its own kind. */
export function readDocument(document: Json): ReadDocument {
  if (document === null) return { ok: false, faults: [valueFault('', emptyPlan.message, emptyPlan.suggestion)] };
  if (typeof document !== 'object' || Array.isArray(document)) {
    return { ok: false, faults: [valueFault('', `a plan is an object with "plan" and "steps", not ${describeJson(document)}`)] };
  }
  const header = planHeaderSchema.safeParse(document, { error: inPlainWords });
  const faults = header.success ? [] : faultsOf(header.error, planHeaderSchema, '');
  const steps = document['steps'];
  const isStepMap = typeof steps === 'object' && steps !== null && !Array.isArray(steps);
  if (isStepMap) faults.push(...stepsFaults(steps));
  if (faults.length > 0 || !header.success) return { ok: false, faults };
  return { ok: true, plan: document as unknown as Plan, document };
}

function describeJson(value: Json): string {
  if (value === null) return 'nothing';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}

function stepsFaults(steps: JsonObject): DocumentFault[] {
  const ids = Object.keys(steps);
  if (ids.length === 0) return [valueFault('/steps', 'a plan needs at least one step')];
  if (ids.length > planLimits.steps)
    return [valueFault('/steps', `the plan has ${ids.length} steps; ${planLimits.steps} are allowed`, 'use forEach for steps that are alike')];
  const faults: DocumentFault[] = [];
  for (const id of ids) {
    const pointer = `/steps/${escapePointer(id)}`;
    const checkedId = stepIdSchema.safeParse(id, { error: inPlainWords });
    if (!checkedId.success) faults.push(keyFault(pointer, `"${id}": ${checkedId.error.issues[0]?.message ?? 'not a step id'}`));
    faults.push(...stepFaults(id, steps[id] as Json, pointer));
    if (faults.length >= 100) break;
  }
  return faults;
}

function stepFaults(id: string, step: Json, pointer: string): DocumentFault[] {
  if (typeof step !== 'object' || step === null || Array.isArray(step)) {
    return [valueFault(pointer, `step "${id}" is ${describeJson(step)}; it must be an object with one of ${kinds.join(', ')}`)];
  }
  const named = kinds.filter((kind) => Object.hasOwn(step, kind));
  const [kind, second] = named;
  if (kind === undefined) {
    const suggestion = Object.keys(step)
      .map((key) => didYouMean(key, kinds))
      .find((text) => text !== undefined);
    return [keyFault(pointer, `step "${id}" does not say what it does: it needs one of ${kinds.join(', ')}`, suggestion)];
  }
  if (second !== undefined) return [keyFault(`${pointer}/${second}`, `step "${id}" is both ${kind} and ${second}; a step does one thing`)];
  const schema = schemaOf(kind, step);
  const parsed = schema.safeParse(step, { error: inPlainWords });
  const misplaced = particular.filter(({ key, kinds: those }) => Object.hasOwn(step, key) && !those.includes(kind));
  const isMisplaced = (fault: DocumentFault): boolean => fault.part === 'key' && misplaced.some(({ key }) => fault.pointer === `${pointer}/${key}`);
  const faults = parsed.success ? [] : faultsOf(parsed.error, schema, pointer).filter((fault) => !isMisplaced(fault));
  for (const { key, cannot, kinds: those } of misplaced)
    faults.push(keyFault(`${pointer}/${key}`, `step "${id}" is of kind ${kind} and ${cannot}; steps of these kinds can: ${those.join(', ')}`));
  for (const key of ['concurrency', 'onItemError']) {
    if (Object.hasOwn(step, key) && !Object.hasOwn(step, 'forEach')) faults.push(keyFault(`${pointer}/${key}`, `step "${id}" has ${key} but no forEach`));
  }
  return faults;
}

const schemaOf = (kind: StepKind, { wait }: JsonObject): z.ZodType =>
  kind === 'wait' && typeof wait === 'object' && wait !== null && 'check' in wait ? conditionalWaitStepSchema : stepSchemas[kind];

export function kindOf(step: PlanStep): StepKind {
  for (const kind of kinds) if (Object.hasOwn(step, kind)) return kind;
  throw new Error('a step without a kind came past the check of its form');
}
