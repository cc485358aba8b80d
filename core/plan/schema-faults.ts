import type { z } from 'zod';
import type { FaultDetail } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { lowerFirst } from '#core/expression/expression.ts';
import { escapePointer } from '#core/expression/template.ts';

/** A fault and which part of the text it is about. */
export interface DocumentFault extends FaultDetail {
  part: 'key' | 'value';
}

export function valueFault(pointer: string, message: string, suggestion?: string): DocumentFault {
  return { pointer, message, part: 'value', ...(suggestion === undefined ? {} : { suggestion }) };
}

export function keyFault(pointer: string, message: string, suggestion?: string): DocumentFault {
  return { pointer, message, part: 'key', ...(suggestion === undefined ? {} : { suggestion }) };
}

type Issue = z.core.$ZodIssue;

/** What a schema says of a document, in words for who wrote it. */
export function faultsOf(error: z.ZodError, schema: z.ZodType, pointer: string): DocumentFault[] {
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
    case 'default':
    case 'nullable':
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
