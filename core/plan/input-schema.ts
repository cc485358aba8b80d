import type { FaultDetail } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { resolveReference } from '#core/expression/static-type.ts';
import { escapePointer } from '#core/expression/template.ts';
import type { Json } from '#schemas/json.ts';
import { isCheapToCheck, validateJson } from './json-schema.ts';

const types = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];

/** What each known keyword's value must be. Keywords of draft 2020-12 that say something about values. */
const keywordForms: Record<string, 'schema' | 'schemas' | 'schemaMap' | 'number' | 'count' | 'text' | 'boolean' | 'names' | 'list' | 'pattern' | 'any'> = {
  additionalProperties: 'schema',
  unevaluatedProperties: 'schema',
  unevaluatedItems: 'schema',
  items: 'schema',
  contains: 'schema',
  propertyNames: 'schema',
  not: 'schema',
  if: 'schema',
  then: 'schema',
  else: 'schema',
  allOf: 'schemas',
  anyOf: 'schemas',
  oneOf: 'schemas',
  prefixItems: 'schemas',
  properties: 'schemaMap',
  patternProperties: 'schemaMap',
  $defs: 'schemaMap',
  definitions: 'schemaMap',
  dependentSchemas: 'schemaMap',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'number',
  minLength: 'count',
  maxLength: 'count',
  minItems: 'count',
  maxItems: 'count',
  minProperties: 'count',
  maxProperties: 'count',
  minContains: 'count',
  maxContains: 'count',
  title: 'text',
  description: 'text',
  $comment: 'text',
  $schema: 'text',
  $id: 'text',
  $ref: 'text',
  $anchor: 'text',
  format: 'text',
  contentMediaType: 'text',
  contentEncoding: 'text',
  uniqueItems: 'boolean',
  readOnly: 'boolean',
  writeOnly: 'boolean',
  deprecated: 'boolean',
  required: 'names',
  enum: 'list',
  examples: 'list',
  pattern: 'pattern',
  default: 'any',
  const: 'any',
  type: 'any',
  dependentRequired: 'any',
};

/** Nested schemas beyond this are refused: they would be deeper than any honest input. */
const deepest = 50;
/** Characters of a `pattern`. */
const longestPattern = 1_000;

/**
 * Checks a JSON Schema when its plan is saved. An input schema must describe an object; `anyType` lifts that for other schemas.
 * Unknown keywords are refused, because a misspelt one silently allows everything.
 */
export function checkInputSchema(schema: Json, options: { anyType?: boolean } = {}): FaultDetail[] {
  const faults: FaultDetail[] = [];
  checkSchema(schema, '', schema, faults, 0);
  if (options.anyType !== true && typeof schema === 'object' && schema !== null && !Array.isArray(schema)) {
    const describesObject =
      schema['type'] === 'object' || (schema['type'] === undefined && (schema['properties'] !== undefined || schema['$ref'] !== undefined));
    if (!describesObject)
      faults.push({ pointer: '/type', message: "a plan's input is an object", suggestion: 'write type: object, and what it holds under properties' });
  }
  return faults;
}

function checkSchema(schema: Json, pointer: string, root: Json, faults: FaultDetail[], depth: number): void {
  if (typeof schema === 'boolean') return;
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    faults.push({ pointer, message: 'a schema is an object, true or false' });
    return;
  }
  if (depth > deepest) {
    faults.push({ pointer, message: `schemas are nested more than ${deepest} deep` });
    return;
  }
  for (const [keyword, value] of Object.entries(schema)) {
    if (faults.length >= 50) return;
    checkKeyword(keyword, value, `${pointer}/${escapePointer(keyword)}`, root, faults, depth);
  }
  checkDefault(schema, pointer, root, faults);
}

function checkKeyword(keyword: string, value: Json, pointer: string, root: Json, faults: FaultDetail[], depth: number): void {
  const form = keywordForms[keyword];
  const refuse = (message: string, suggestion?: string): void => {
    faults.push({ pointer, message, ...(suggestion === undefined ? {} : { suggestion }) });
  };
  switch (form) {
    case undefined:
      if (!keyword.startsWith('x-')) refuse(`unknown schema keyword "${keyword}"`, didYouMean(keyword, Object.keys(keywordForms)));
      return;
    case 'schema':
      checkSchema(value, pointer, root, faults, depth + 1);
      return;
    case 'schemas':
      if (!Array.isArray(value) || value.length === 0) refuse(`${keyword} is a list of schemas`);
      else for (const [index, member] of value.entries()) checkSchema(member, `${pointer}/${index}`, root, faults, depth + 1);
      return;
    case 'schemaMap':
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(`${keyword} is an object of schemas`);
      for (const [name, member] of Object.entries(value)) {
        if (keyword === 'patternProperties') checkPattern(name, refuse);
        checkSchema(member, `${pointer}/${escapePointer(name)}`, root, faults, depth + 1);
      }
      return;
    case 'number':
      if (typeof value !== 'number') refuse(`${keyword} is a number`);
      return;
    case 'count':
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) refuse(`${keyword} is a whole number from 0`);
      return;
    case 'text':
      if (typeof value !== 'string') return refuse(`${keyword} is text`);
      if (keyword === '$ref') checkReference(value, root, refuse);
      if (keyword === '$id') refuse('$id is not allowed: a plan stands for itself');
      return;
    case 'boolean':
      if (typeof value !== 'boolean') refuse(`${keyword} is true or false`);
      return;
    case 'names':
      if (!Array.isArray(value) || value.some((name) => typeof name !== 'string')) refuse(`${keyword} is a list of names`);
      return;
    case 'list':
      if (!Array.isArray(value) || (keyword === 'enum' && value.length === 0)) refuse(`${keyword} is a list of values`);
      return;
    case 'pattern':
      if (typeof value !== 'string') refuse('pattern is text');
      else checkPattern(value, refuse);
      return;
    case 'any':
      if (keyword === 'type') checkType(value, refuse);
      return;
  }
}

type Refuse = (message: string, suggestion?: string) => void;

function checkType(value: Json, refuse: Refuse): void {
  for (const type of Array.isArray(value) ? value : [value]) {
    if (typeof type !== 'string') return refuse('type is a name or a list of names', `known: ${types.join(', ')}`);
    if (!types.includes(type)) return refuse(`there is no type "${type}"`, didYouMean(type, types) ?? `known: ${types.join(', ')}`);
  }
}

function checkReference(reference: string, root: Json, refuse: Refuse): void {
  if (!reference.startsWith('#')) return refuse('$ref can only point into this schema', 'write #/$defs/name');
  if (reference !== '#' && !reference.startsWith('#/')) return refuse('$ref can only point by path', 'write #/$defs/name');
  if (resolveReference(reference, root) === undefined) refuse(`$ref leads nowhere: ${reference}`);
}

function checkPattern(pattern: string, refuse: Refuse): void {
  if (pattern.length > longestPattern) return refuse(`a pattern has at most ${longestPattern} characters`);
  try {
    new RegExp(pattern, 'u');
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
  }
}

/** Work that the check of one default may cost; dearer ones are left to the run. */
const mostWorkForDefault = 5_000;

/** A default that its own schema refuses would fail every run that relies on it. */
function checkDefault(schema: { [key: string]: Json }, pointer: string, root: Json, faults: FaultDetail[]): void {
  const value = schema['default'];
  if (value === undefined || !isCheapToCheck(schema, value, mostWorkForDefault)) return;
  if (faults.some((fault) => fault.pointer.startsWith(pointer)) || root === undefined) return;
  for (const fault of validateJson(schema, value))
    faults.push({ pointer: `${pointer}/default${fault.pointer}`, message: `the default does not fit its own schema: ${fault.message}` });
}
