import canonicalize from 'canonicalize';
import { EvaluationError } from '@marcbachmann/cel-js';
import { KosError } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';
import { expressionLimits } from './limits.ts';

/** JSON as the expression engine sees it: integral numbers are BigInt (CEL int), all other numbers double. */
export type CelValue = unknown;

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

/**
 * Converts JSON for the engine. Parts without integral numbers are shared, not copied. An object with a key named `constructor`
 * becomes a Map, because the engine tells types apart by that property.
 */
export function celFromJson(value: Json): CelValue {
  switch (typeof value) {
    case 'number':
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'object':
      if (value === null) return null;
      return isList(value) ? celList(value) : celObject(value);
    default:
      return value;
  }
}

function celList(list: Json[]): CelValue {
  let copy: unknown[] | undefined;
  for (let index = 0; index < list.length; index += 1) {
    const element = list[index] as Json;
    const converted = celFromJson(element);
    if (converted !== element) copy ??= list.slice(0, index);
    copy?.push(converted);
  }
  return copy ?? list;
}

function celObject(object: { [key: string]: Json }): CelValue {
  const keys = Object.keys(object);
  if (Object.hasOwn(object, 'constructor') || Object.hasOwn(object, '__proto__')) {
    return new Map(keys.map((key) => [key, celFromJson(object[key] as Json)]));
  }
  let copy: Record<string, unknown> | undefined;
  for (let index = 0; index < keys.length; index += 1) {
    const key = keys[index] as string;
    const element = object[key] as Json;
    const converted = celFromJson(element);
    if (converted !== element && copy === undefined) {
      copy = {};
      for (const earlier of keys.slice(0, index)) copy[earlier] = object[earlier];
    }
    if (copy !== undefined) copy[key] = converted;
  }
  return copy ?? object;
}

/** Why a value is no JSON; thrown by `jsonFromCel` and turned into a `KosError` by whoever knows the expression. */
export class NotJson extends Error {}

/** Converts an engine's result to plain JSON; shares what needs no change. Throws `NotJson`. */
export function jsonFromCel(value: CelValue, depth = 0): Json {
  if (depth > expressionLimits.valueDepth) throw new NotJson(`it is nested more than ${expressionLimits.valueDepth} deep`);
  switch (typeof value) {
    case 'string':
      if (value.length > expressionLimits.textLength) throw new NotJson(`a text has ${value.length} characters, ${expressionLimits.textLength} are allowed`);
      return value;
    case 'boolean':
      return value;
    case 'bigint':
      return jsonFromInteger(value);
    case 'number':
      if (!Number.isFinite(value)) throw new NotJson(`${value} is not a JSON number`);
      return value;
    case 'object':
      return value === null ? null : jsonFromObject(value, depth);
    default:
      throw new NotJson(`a ${typeof value} is not JSON`);
  }
}

function jsonFromInteger(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new NotJson(`the integer ${value} is too large to be exact in JSON`);
  return number;
}

function jsonFromObject(value: object, depth: number): Json {
  if (isList(value)) return jsonFromList(value, depth);
  if (value instanceof Map) return jsonFromEntries([...value.entries()], depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return jsonFromPlainObject(value as Record<string, unknown>, depth);
  throw new NotJson(`${describeForeign(value)} is not JSON`);
}

function describeForeign(value: object): string {
  if (value instanceof Date) return 'a timestamp';
  return `a ${value.constructor.name.toLowerCase()}`;
}

function jsonFromList(list: unknown[], depth: number): Json[] {
  let copy: Json[] | undefined;
  for (let index = 0; index < list.length; index += 1) {
    const element = list[index];
    const converted = jsonFromCel(element, depth + 1);
    if (converted !== element && copy === undefined) copy = list.slice(0, index) as Json[];
    copy?.push(converted);
  }
  return copy ?? (list as Json[]);
}

function jsonFromPlainObject(object: Record<string, unknown>, depth: number): Json {
  const entries = Object.entries(object);
  let changed = Object.getPrototypeOf(object) === null;
  for (const entry of entries) {
    const converted = jsonFromCel(entry[1], depth + 1);
    if (converted !== entry[1]) {
      changed = true;
      entry[1] = converted;
    }
  }
  return changed ? objectOf(entries as [string, Json][]) : (object as Json);
}

function jsonFromEntries(entries: [unknown, unknown][], depth: number): Json {
  return objectOf(
    entries.map(([key, value]) => {
      if (typeof key !== 'string') throw new NotJson(`an object key is a ${typeof key}, not text`);
      return [key, jsonFromCel(value, depth + 1)];
    }),
  );
}

/** Builds an object whose keys may be anything, `__proto__` included (Object.fromEntries defines, it does not assign). */
function objectOf(entries: [string, Json][]): Json {
  return Object.fromEntries(entries) as Json;
}

/**
 * The RFC 8785 text of a value: equal values give equal text, whatever the order of their keys. Throws `text_malformed` for half a surrogate
 * pair, which JSON can spell (`"\\ud83d"`) and UTF-8 cannot: a text that was cut in the middle of a character.
 */
export function canonicalJson(value: Json): string {
  try {
    return canonicalize(value) ?? 'null';
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new KosError({
      code: 'text_malformed',
      message: 'A text holds half of a character (a lone surrogate), so the value has no exact form.',
      fix: 'Look for a text that was cut in the middle of a character, and cut it elsewhere.',
      status: 422,
      cause: error,
    });
  }
}

/** How a value reads inside text: text as it is, all else as JSON. */
export function textOf(value: Json): string {
  return typeof value === 'string' ? value : canonicalJson(value);
}

/** For functions of the dialect, whose arguments are engine values. */
export function textOfCel(value: CelValue): string {
  if (typeof value === 'string') return value;
  try {
    return textOf(jsonFromCel(value));
  } catch (error) {
    if (error instanceof NotJson) throw new EvaluationError(error.message);
    throw error;
  }
}
