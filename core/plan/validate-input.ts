import type { FaultDetail } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { resolveReference } from '#core/expression/static-type.ts';
import { escapePointer } from '#core/expression/template.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { validateJson } from './json-schema.ts';

export { checkInputSchema } from './input-schema.ts';
export { validateJson } from './json-schema.ts';

export type InputResult = { ok: true; input: JsonObject } | { ok: false; faults: FaultDetail[] };

const deepest = 50;

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Fills in the schema's defaults, then holds the input against it. A plan without a schema takes no input. Patterns of the schema run in
 * this thread: where the schema may come from somebody else, call `validateInput` of `services/expression`, which bounds the time.
 */
export function validateInput(schema: Json | null | undefined, input: Json | undefined): InputResult {
  const given = input ?? {};
  if (!isObject(given)) return { ok: false, faults: [{ pointer: '', message: 'the input must be an object' }] };
  if (schema === null || schema === undefined) {
    const faults = Object.keys(given).map((key) => ({ pointer: `/${escapePointer(key)}`, message: 'the plan takes no input', suggestion: 'declare it under `input` in the plan' }));
    return faults.length === 0 ? { ok: true, input: given } : { ok: false, faults };
  }
  const filled = withDefaults(schema, given, schema, 0);
  const faults = validateJson(schema, filled);
  return faults.length === 0 && isObject(filled) ? { ok: true, input: filled } : { ok: false, faults };
}

/** A copy of the value with the defaults of absent properties, also inside of present objects and lists. The value itself is not changed. */
export function withDefaults(schema: Json, value: Json, root: Json, depth: number): Json {
  if (!isObject(schema) || depth > deepest) return value;
  if (typeof schema['$ref'] === 'string') return withDefaults(resolveReference(schema['$ref'], root) ?? true, value, root, depth + 1);
  let filled = value;
  if (Array.isArray(schema['allOf'])) for (const part of schema['allOf']) filled = withDefaults(part, filled, root, depth + 1);
  if (Array.isArray(filled) && isObject(schema['items'])) return filled.map((item) => withDefaults(schema['items'] as Json, item, root, depth + 1));
  return isObject(filled) && isObject(schema['properties']) ? fillProperties(schema['properties'], filled, root, depth) : filled;
}

function fillProperties(properties: JsonObject, object: JsonObject, root: Json, depth: number): JsonObject {
  const filled: [string, Json][] = Object.entries(object).map(([key, member]) => {
    const schema = Object.hasOwn(properties, key) ? properties[key] : undefined;
    return [key, schema === undefined ? member : withDefaults(schema, member, root, depth + 1)];
  });
  for (const [key, schema] of Object.entries(properties)) {
    if (Object.hasOwn(object, key) || !isObject(schema) || schema['default'] === undefined) continue;
    filled.push([key, withDefaults(schema, structuredClone(schema['default']), root, depth + 1)]);
  }
  return Object.fromEntries(filled);
}

/**
 * Turns `name=value` pairs from a command line into input, typed by the schema: `count=100` is a number where a number is wanted, and text
 * where text is. A value without a declared type is read as JSON where it is JSON, else as text.
 */
export function coerceInput(schema: Json | null | undefined, pairs: Record<string, string>): InputResult {
  const input: [string, Json][] = [];
  const faults: FaultDetail[] = [];
  const properties = propertiesOf(schema ?? null);
  for (const [name, text] of Object.entries(pairs)) {
    const declared = Object.hasOwn(properties.known, name) ? properties.known[name] : undefined;
    if (declared === undefined && !properties.open) {
      const suggestion = didYouMean(name, Object.keys(properties.known)) ?? knownNames(properties.known);
      faults.push({ pointer: `/${escapePointer(name)}`, message: `the plan takes no input "${name}"`, suggestion });
      continue;
    }
    const value = coerce(text, typesOf(declared, schema ?? null));
    if (value.ok) input.push([name, value.value]);
    else faults.push({ pointer: `/${escapePointer(name)}`, message: `"${name}" must be ${value.wanted}, and "${text}" is not` });
  }
  return faults.length > 0 ? { ok: false, faults } : { ok: true, input: Object.fromEntries(input) };
}

function knownNames(known: JsonObject): string {
  const names = Object.keys(known);
  return names.length === 0 ? 'it takes none' : `known: ${names.join(', ')}`;
}

/** Names the schema speaks of; `open` when it allows others in so many words, or does not list any. */
function propertiesOf(schema: Json): { known: JsonObject; open: boolean } {
  if (schema === null) return { known: {}, open: false };
  if (!isObject(schema)) return { known: {}, open: true };
  if (typeof schema['$ref'] === 'string') return propertiesOf(resolveReference(schema['$ref'], schema) ?? true);
  const known = isObject(schema['properties']) ? schema['properties'] : {};
  const additional = schema['additionalProperties'];
  const others = schema['patternProperties'] !== undefined || schema['allOf'] !== undefined;
  return { known, open: others || (additional === undefined ? schema['properties'] === undefined : additional !== false) };
}

function typesOf(schema: Json | undefined, root: Json): string[] {
  if (!isObject(schema)) return [];
  if (typeof schema['$ref'] === 'string') return typesOf(resolveReference(schema['$ref'], root), root);
  if (Object.hasOwn(schema, 'const')) return [jsonTypeOf(schema['const'] as Json)];
  if (Array.isArray(schema['enum'])) return [...new Set(schema['enum'].map(jsonTypeOf))];
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return [...new Set(options.flatMap((option) => typesOf(option, root)))];
  const type = schema['type'];
  if (Array.isArray(type)) return type.filter((name) => typeof name === 'string');
  return typeof type === 'string' ? [type] : [];
}

function jsonTypeOf(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

type Coerced = { ok: true; value: Json } | { ok: false; wanted: string };

function coerce(text: string, types: string[]): Coerced {
  if (types.length === 0) return { ok: true, value: parseJson(text) ?? text };
  for (const type of ['null', 'boolean', 'integer', 'number', 'array', 'object']) {
    if (!types.includes(type)) continue;
    const value = parseJson(text);
    if (value !== undefined && fits(value, type)) return { ok: true, value };
  }
  if (types.includes('string')) return { ok: true, value: text };
  return { ok: false, wanted: types.map((type) => wantedNames[type] ?? type).join(' or ') };
}

const wantedNames: Record<string, string> = {
  boolean: 'true or false',
  integer: 'an integer',
  number: 'a number',
  array: 'a JSON list, as in [1, 2]',
  object: 'a JSON object, as in {"a": 1}',
  null: 'null',
};

function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // Not JSON: the caller takes it as text, or says what is wanted.
    return undefined;
  }
}

function fits(value: Json, type: string): boolean {
  if (type === 'integer') return Number.isSafeInteger(value);
  return jsonTypeOf(value) === type;
}
