import { type OutputUnit, type Schema, Validator } from '@cfworker/json-schema';
import type { FaultDetail } from '#core/errors.ts';
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

/**
 * Holds a value against a JSON Schema (draft 2020-12) by interpreting it: nothing a user wrote becomes code. Patterns run in this thread;
 * where schema and value come from different people, use `validateInput` of `services/expression`, which bounds the time.
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
