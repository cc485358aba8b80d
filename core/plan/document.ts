import type { z } from 'zod';
import type { FaultDetail } from '#core/errors.ts';
import { lowerFirst } from '#core/expression/expression.ts';
import { escapePointer } from '#core/expression/template.ts';
import { conditionalWaitStepSchema, type Plan, planHeaderSchema, type PlanStep, planLimits, stepIdSchema, stepSchemas } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { StepKind } from '#schemas/shape.ts';
import { didYouMean } from '#core/expression/closest-name.ts';

/** A fault and which part of the text it is about. */
export interface DocumentFault extends FaultDetail {
  part: 'key' | 'value';
}

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
  const header = planHeaderSchema.safeParse(document);
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

function valueFault(pointer: string, message: string, suggestion?: string): DocumentFault {
  return { pointer, message, part: 'value', ...(suggestion === undefined ? {} : { suggestion }) };
}

function keyFault(pointer: string, message: string, suggestion?: string): DocumentFault {
  return { pointer, message, part: 'key', ...(suggestion === undefined ? {} : { suggestion }) };
}

function stepsFaults(steps: JsonObject): DocumentFault[] {
  const ids = Object.keys(steps);
  if (ids.length === 0) return [valueFault('/steps', 'a plan needs at least one step')];
  if (ids.length > planLimits.steps)
    return [valueFault('/steps', `the plan has ${ids.length} steps; ${planLimits.steps} are allowed`, 'use forEach for steps that are alike')];
  const faults: DocumentFault[] = [];
  for (const id of ids) {
    const pointer = `/steps/${escapePointer(id)}`;
    const checkedId = stepIdSchema.safeParse(id);
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
  const parsed = schema.safeParse(step);
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

type Issue = z.core.$ZodIssue;

function faultsOf(error: z.ZodError, schema: z.ZodType, pointer: string): DocumentFault[] {
  return error.issues.flatMap((issue) => faultsOfIssue(issue, schema, pointer));
}

function faultsOfIssue(issue: Issue, schema: z.ZodType, base: string): DocumentFault[] {
  const pointer = issue.path.reduce<string>((path, key) => `${path}/${escapePointer(String(key))}`, base);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, issue.path);
      return issue.keys.map((key) => keyFault(`${pointer}/${escapePointer(key)}`, `unknown key "${key}"`, didYouMean(key, known) ?? keysText(known)));
    }
    case 'invalid_union': {
      // A form of another type was hardly meant.
      const ofItsType = issue.errors.filter((inner) => !inner.some(({ code, path }) => code === 'invalid_type' && path.length === 0));
      const nearest = (ofItsType.length > 0 ? ofItsType : issue.errors).toSorted((a, b) => a.length - b.length)[0];
      if (nearest === undefined || nearest.length === 0) return [valueFault(pointer, 'no form that is allowed here')];
      return nearest.flatMap((inner) => faultsOfIssue({ ...inner, path: [...issue.path, ...inner.path] }, schema, base));
    }
    case 'invalid_key':
      return [keyFault(pointer, issue.issues[0]?.message ?? issue.message)];
    case 'invalid_type':
      if (issue.message.endsWith('received undefined')) return [valueFault(pointer, `"${String(issue.path.at(-1))}" is missing`)];
      return [valueFault(pointer, issue.expected === 'record' ? mapNeeded(issue) : lowerFirst(issue.message))];
    default:
      return [valueFault(pointer, lowerFirst(issue.message))];
  }
}

/** A YAML map, in words that somebody who never met a record understands. */
function mapNeeded(issue: Issue): string {
  const given = /received (\w+)$/.exec(issue.message)?.[1];
  return `"${String(issue.path.at(-1))}" is a map of names, not ${given === 'null' || given === undefined ? 'nothing' : given === 'array' ? 'a list' : `a ${given}`}`;
}

function keysText(known: string[]): string | undefined {
  return known.length === 0 ? undefined : `known here: ${known.join(', ')}`;
}

/** The keys an object at `path` may have, read from the schema itself. */
function knownKeys(schema: z.ZodType, path: PropertyKey[]): string[] {
  const definition = (schema as z.core.$ZodType as z.core.$ZodTypes)._zod.def;
  switch (definition.type) {
    case 'optional':
      return knownKeys(definition.innerType as z.ZodType, path);
    case 'union':
      return [...new Set(definition.options.flatMap((option) => knownKeys(option as z.ZodType, path)))];
    case 'record':
      return path.length === 0 ? [] : knownKeys(definition.valueType as z.ZodType, path.slice(1));
    case 'object': {
      const [key, ...rest] = path;
      if (key === undefined) return Object.keys(definition.shape);
      const member = definition.shape[String(key)];
      return member === undefined ? [] : knownKeys(member as z.ZodType, rest);
    }
    default:
      return [];
  }
}
