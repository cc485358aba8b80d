import type { Json } from '#schemas/json.ts';

/**
 * What is known of a value before it exists. `dyn`: nothing. `number`: an int or a double. An object without `rest` has no other fields than
 * `fields`; `fields` of null means that nothing is known of them.
 */
export type StaticType =
  | { kind: 'dyn' }
  | { kind: 'string' | 'bool' | 'int' | 'double' | 'number' | 'null' | 'bytes' | 'timestamp' | 'duration' | 'type' | 'optional' }
  | { kind: 'list'; element: StaticType }
  | { kind: 'object'; fields: ReadonlyMap<string, StaticType>; rest: StaticType | null };

export const dyn: StaticType = { kind: 'dyn' };
export const stringType: StaticType = { kind: 'string' };
export const boolType: StaticType = { kind: 'bool' };
export const intType: StaticType = { kind: 'int' };
export const doubleType: StaticType = { kind: 'double' };
export const numberType: StaticType = { kind: 'number' };
export const nullType: StaticType = { kind: 'null' };

export function listOf(element: StaticType): StaticType {
  return { kind: 'list', element };
}

export function mapOf(rest: StaticType): StaticType {
  return { kind: 'object', fields: new Map(), rest };
}

export function objectOf(fields: Record<string, StaticType>, rest: StaticType | null = null): StaticType {
  return { kind: 'object', fields: new Map(Object.entries(fields)), rest };
}

export function isNumeric(type: StaticType): boolean {
  return type.kind === 'int' || type.kind === 'double' || type.kind === 'number';
}

/** How a type reads in a message. */
export function nameOf(type: StaticType): string {
  switch (type.kind) {
    case 'list':
      return type.element.kind === 'dyn' ? 'a list' : `a list of ${nameOf(type.element).replace(/^an? /, '')}`;
    case 'object':
      return 'an object';
    case 'int':
      return 'an integer';
    case 'double':
    case 'number':
      return 'a number';
    case 'string':
      return 'text';
    case 'bool':
      return 'a boolean';
    case 'null':
      return 'null';
    case 'dyn':
      return 'any value';
    default:
      return `a ${type.kind}`;
  }
}

/** The least that is true of both. */
export function join(left: StaticType, right: StaticType): StaticType {
  if (left === right) return left;
  if (left.kind === 'null') return right;
  if (right.kind === 'null') return left;
  if (isNumeric(left) && isNumeric(right)) return left.kind === right.kind ? left : numberType;
  if (left.kind === 'list' && right.kind === 'list') return listOf(join(left.element, right.element));
  if (left.kind === 'object' && right.kind === 'object') return mapOf(dyn);
  return left.kind === right.kind ? left : dyn;
}

/** Nested schemas beyond this are not looked into; also what ends recursive ones. */
const deepestSchema = 12;
/** Schemas looked into for one type: alternatives that refer to each other multiply with every level. */
const mostSchemas = 20_000;

interface SchemaReading {
  root: Json | undefined;
  left: number;
}

/**
 * Reads a JSON Schema as far as it is a promise. A nullable value counts as its other type. Objects that list `properties` and do not speak of
 * others are taken at their word: a field that is not listed is more likely misspelt than meant.
 */
export function typeFromSchema(schema: Json | undefined, root: Json | undefined = schema): StaticType {
  return readSchema(schema, { root, left: mostSchemas }, 0);
}

function readSchema(schema: Json | undefined, reading: SchemaReading, depth: number): StaticType {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema) || depth > deepestSchema) return dyn;
  reading.left -= 1;
  if (reading.left < 0) return dyn;
  if (typeof schema['$ref'] === 'string') return readSchema(resolveReference(schema['$ref'], reading.root), reading, depth + 1);
  if (Object.hasOwn(schema, 'const')) return typeOfJson(schema['const'] as Json);
  if (Array.isArray(schema['enum'])) return schema['enum'].map(typeOfJson).reduce(join, nullType);
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return joinAll(options.map((option) => readSchema(option, reading, depth + 1)));
  if (Array.isArray(schema['type'])) return joinAll(schema['type'].map((type) => readSchema({ ...schema, type }, reading, depth + 1)));
  switch (schema['type']) {
    case 'string':
      return stringType;
    case 'boolean':
      return boolType;
    case 'integer':
      return intType;
    case 'number':
      return numberType;
    case 'null':
      return nullType;
    case 'array':
      return listOf(Array.isArray(schema['prefixItems']) ? dyn : readSchema(schema['items'], reading, depth + 1));
    case 'object':
      return objectFromSchema(schema, reading, depth);
    default:
      return schema['properties'] === undefined ? dyn : objectFromSchema(schema, reading, depth);
  }
}

function joinAll(types: StaticType[]): StaticType {
  const known = types.filter((type) => type.kind !== 'null');
  const [first, ...rest] = known;
  return first === undefined ? nullType : rest.reduce(join, first);
}

function objectFromSchema(schema: { [key: string]: Json }, reading: SchemaReading, depth: number): StaticType {
  const { properties, additionalProperties, allOf, patternProperties } = schema;
  if (allOf !== undefined || patternProperties !== undefined || schema['if'] !== undefined) return mapOf(dyn);
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    return typeof additionalProperties === 'object' ? mapOf(readSchema(additionalProperties, reading, depth + 1)) : mapOf(dyn);
  }
  const fields = new Map(Object.entries(properties).map(([key, member]) => [key, readSchema(member, reading, depth + 1)]));
  if (additionalProperties === true) return { kind: 'object', fields, rest: dyn };
  const rest = typeof additionalProperties === 'object' ? readSchema(additionalProperties, reading, depth + 1) : null;
  return { kind: 'object', fields, rest };
}

/** `#/$defs/name` and the like; references out of the document lead nowhere. */
export function resolveReference(reference: string, root: Json | undefined): Json | undefined {
  if (!reference.startsWith('#')) return undefined;
  let value: Json | undefined = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const key = keyOfReference(part);
    if (typeof value !== 'object' || value === null || key === undefined || !Object.hasOwn(value, key)) return undefined;
    value = (value as { [key: string]: Json })[key];
  }
  return value;
}

/** Undefined for a malformed % sequence: it names nothing. */
function keyOfReference(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

export function typeOfJson(value: Json): StaticType {
  if (value === null) return nullType;
  if (typeof value === 'string') return stringType;
  if (typeof value === 'boolean') return boolType;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? intType : doubleType;
  if (Array.isArray(value)) return listOf(value.length === 0 ? dyn : value.slice(0, 100).map(typeOfJson).reduce(join));
  return { kind: 'object', fields: new Map(Object.entries(value).map(([key, member]) => [key, typeOfJson(member)])), rest: null };
}

/** Reads a type as the engine writes it in a signature: `list<string>`, `map<string, list<dyn>>`, `google.protobuf.Timestamp`. */
export function typeFromSignature(text: string): StaticType {
  const list = /^list(?:<(.+)>)?$/.exec(text);
  if (list !== null) return listOf(list[1] === undefined ? dyn : typeFromSignature(list[1]));
  const map = /^map(?:<[^,]+, (.+)>)?$/.exec(text);
  if (map !== null) return mapOf(map[1] === undefined ? dyn : typeFromSignature(map[1]));
  switch (text) {
    case 'string':
    case 'bool':
    case 'int':
    case 'double':
    case 'null':
    case 'bytes':
    case 'type':
      return { kind: text };
    case 'google.protobuf.Timestamp':
      return { kind: 'timestamp' };
    case 'google.protobuf.Duration':
      return { kind: 'duration' };
    default:
      return text.startsWith('optional') ? { kind: 'optional' } : dyn;
  }
}

/** Whether a value of the type could be what is wanted. `dyn` could be anything. */
export function couldBe(actual: StaticType, wanted: StaticType): boolean {
  if (actual.kind === 'dyn' || wanted.kind === 'dyn') return true;
  if (actual.kind === 'number') return isNumeric(wanted);
  if (wanted.kind === 'number') return isNumeric(actual);
  if (actual.kind === 'list' && wanted.kind === 'list') return couldBe(actual.element, wanted.element);
  return actual.kind === wanted.kind;
}
