import { type OutputUnit, type Schema, Validator } from '@cfworker/json-schema';
import type { FaultDetail } from '#core/errors.ts';
import { weigh } from '#core/expression/cost.ts';
import { lowerFirst } from '#core/expression/expression.ts';
import type { Json } from '#schemas/json.ts';

/** Validators by the schema object they were made from: a plan's schema is read many times. */
const validators = new WeakMap<object, Validator>();

function validatorOf(schema: { [key: string]: Json }): Validator {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  // The validator marks the objects it reads, so it gets a copy.
  const validator = new Validator(structuredClone(schema) as Schema, '2020-12', false);
  validators.set(schema, validator);
  return validator;
}

/** Keywords whose cost grows faster than schema and value do: references multiply with every level, patterns backtrack, `uniqueItems` compares all with all. */
const costlyKeywords = new Set(['$ref', 'pattern', 'patternProperties', 'uniqueItems']);
const withCostlyKeyword = new WeakMap<object, boolean>();

function hasCostlyKeyword(schema: Json): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  const known = withCostlyKeyword.get(schema);
  if (known !== undefined) return known;
  // A property may be named like a keyword; its schema is an object, which only `patternProperties` is, too.
  const isCostly = (key: string, member: Json): boolean => costlyKeywords.has(key) && (typeof member !== 'object' || key === 'patternProperties');
  const found = Object.entries(schema).some(([key, member]) => isCostly(key, member) || hasCostlyKeyword(member));
  withCostlyKeyword.set(schema, found);
  return found;
}

/** Whether a check surely costs no more than `mostWork` meetings of one part of the schema with one part of the value, about 1 µs each. */
export function isCheapToCheck(schema: Json, value: Json, mostWork: number): boolean {
  return !hasCostlyKeyword(schema) && weigh(schema, mostWork) * weigh(value, mostWork) <= mostWork;
}

/**
 * Holds a value against a JSON Schema (draft 2020-12) by interpreting it: nothing a user wrote becomes code. It runs in this thread, as long as
 * it takes: where a schema is not cheap to check, use `validateJson` of `services/expression`, which bounds the time.
 */
export function validateJson(schema: Json, value: Json): FaultDetail[] {
  if (schema === true) return [];
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return [{ pointer: '', message: 'nothing is allowed here' }];
  try {
    const { valid, errors } = validatorOf(schema).validate(value);
    return valid ? [] : faultsOf(errors);
  } catch (error) {
    // References to nowhere, patterns that do not parse, recursion without end: the schema's fault, found when a value first meets it.
    return [{ pointer: '', message: `the schema cannot be applied: ${error instanceof Error ? error.message : String(error)}` }];
  }
}

/** Keywords that only report that something inside them failed, which is reported by itself. */
const wrappers = new Set([
  'properties',
  'items',
  'prefixItems',
  'additionalItems',
  'allOf',
  'anyOf',
  'oneOf',
  '$ref',
  'patternProperties',
  'if',
  'then',
  'else',
  'dependentSchemas',
]);

function faultsOf(errors: OutputUnit[]): FaultDetail[] {
  const leaves = errors.filter(({ keyword }) => !wrappers.has(keyword));
  const chosen = leaves.length > 0 ? leaves : errors;
  const seen = new Set<string>();
  const faults: FaultDetail[] = [];
  for (const { instanceLocation, keyword, error } of chosen) {
    const pointer = decodeURIComponent(instanceLocation.replace(/^#/, ''));
    const message =
      keyword === 'false' || keyword === 'additionalProperties'
        ? 'is not known to the schema'
        : lowerFirst(error.replace(/\.$/, ''))
            .replaceAll('Instance', 'the value')
            .replace(/^instance/, 'the value');
    if (seen.has(`${pointer} ${message}`)) continue;
    seen.add(`${pointer} ${message}`);
    faults.push({ pointer, message });
    if (faults.length >= 50) break;
  }
  return faults;
}
