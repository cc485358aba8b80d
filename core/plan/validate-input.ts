import type { FaultDetail } from '#core/errors.ts';
import { resolveReference } from '#core/expression/static-type.ts';
import { escapePointer } from '#core/expression/template.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { validateJson } from './json-schema.ts';

export type InputResult = { ok: true; input: JsonObject } | { ok: false; faults: FaultDetail[] };

const deepest = 50;

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Fills in the schema's defaults, then holds the input against it. A plan without a schema takes no input. Patterns of the schema run in
 * this thread: where the schema may come from somebody else, call `validateInput` of `services/expression`, which bounds the time.
 */
export function validateInput(schema: Json | null | undefined, input: Json | undefined): InputResult {
  const given = input === undefined ? {} : input;
  if (!isObject(given)) return { ok: false, faults: [{ pointer: '', message: 'the input must be an object' }] };
  if (schema === null || schema === undefined) {
    const faults = Object.keys(given).map((key) => ({
      pointer: `/${escapePointer(key)}`,
      message: 'the plan takes no input',
      suggestion: 'declare it under `input` in the plan',
    }));
    return faults.length === 0 ? { ok: true, input: given } : { ok: false, faults };
  }
  const filled = withDefaults(schema, given, schema, 0);
  const faults = validateJson(schema, filled);
  return faults.length === 0 && isObject(filled) ? { ok: true, input: filled } : { ok: false, faults };
}

/** A copy of the value with the defaults of absent properties, also inside of present objects and lists. The value itself is not changed. */
function withDefaults(schema: Json, value: Json, root: Json, depth: number): Json {
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
