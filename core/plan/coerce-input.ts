import { type FaultDetail, KosError } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { resolveReference } from '#core/expression/static-type.ts';
import { escapePointer } from '#core/expression/template.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { isObject } from './validate-input.ts';

/**
 * Turns `name=value` pairs from a command line into input, typed by the schema: `count=100` is a number where a number is wanted, and text
 * where text is. A value without a declared type is read as JSON where it is JSON, else as text. Without a schema nothing is refused: whether
 * the plan takes the input is the server's to say. `plan`: its name, for the remedy. Throws `input_invalid`.
 */
export function coerceInput(schema: Json | null | undefined, pairs: Record<string, string>, plan: string): JsonObject {
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
  if (faults.length === 0) return Object.fromEntries(input);
  throw new KosError({
    code: 'input_invalid',
    message: `The input does not fit the plan: ${faults.map(({ message }) => message).join('; ')}.`,
    fix: fixOf(faults[0]?.suggestion, plan),
    status: 422,
    details: faults,
  });
}

/** A remedy is a sentence; what a suggestion says of names becomes one. */
function fixOf(suggestion: string | undefined, plan: string): string {
  if (suggestion === undefined) return `See the input of the plan with: kai plan get ${plan}`;
  if (suggestion === takesNone) return 'Leave it out: the plan takes no input.';
  return suggestion.startsWith(known) ? `Leave it out, or give what the plan takes: ${suggestion.slice(known.length)}` : suggestion;
}

const takesNone = 'it takes none';
const known = 'known: ';

function knownNames(properties: JsonObject): string {
  const names = Object.keys(properties);
  return names.length === 0 ? takesNone : `${known}${names.join(', ')}`;
}

/** Names the schema speaks of; `open` when it allows others in so many words, or does not list any. */
function propertiesOf(schema: Json, root = schema, depth = 0): { known: JsonObject; open: boolean } {
  if (!isObject(schema) || depth > deepest) return { known: {}, open: true };
  if (typeof schema['$ref'] === 'string') return propertiesOf(resolveReference(schema['$ref'], root) ?? true, root, depth + 1);
  const known = isObject(schema['properties']) ? schema['properties'] : {};
  const additional = schema['additionalProperties'];
  const others = schema['patternProperties'] !== undefined || schema['allOf'] !== undefined;
  return { known, open: others || (additional === undefined ? schema['properties'] === undefined : additional !== false) };
}

/** Nested alternatives and references beyond this say nothing of the type; also what ends those that refer to themselves. */
const deepest = 4;

function typesOf(schema: Json | undefined, root: Json, depth = 0): string[] {
  if (!isObject(schema) || depth > deepest) return [];
  if (typeof schema['$ref'] === 'string') return typesOf(resolveReference(schema['$ref'], root), root, depth + 1);
  if (Object.hasOwn(schema, 'const')) return [jsonTypeOf(schema['const'] as Json)];
  if (Array.isArray(schema['enum'])) return [...new Set(schema['enum'].map(jsonTypeOf))];
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return [...new Set(options.flatMap((option) => typesOf(option, root, depth + 1)))];
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
