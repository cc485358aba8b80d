import type { z } from 'zod';
import type { FaultDetail } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { lowerFirst } from '#core/expression/expression.ts';
import { escapePointer } from '#core/expression/template.ts';
import { missing, pointerOf, singleIssues } from '#core/schema-words.ts';

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

/** What a schema says of a document, in words for who wrote it. */
export function faultsOf(error: z.ZodError, schema: z.ZodType, base: string): DocumentFault[] {
  return singleIssues(error).flatMap((issue) => faultsOfIssue(issue, schema, base));
}

function faultsOfIssue(issue: z.core.$ZodIssue, schema: z.ZodType, base: string): DocumentFault[] {
  const pointer = pointerOf(issue.path, base);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, issue.path);
      return issue.keys.map((key) => keyFault(`${pointer}/${escapePointer(key)}`, `unknown key "${key}"`, didYouMean(key, known) ?? keysText(known)));
    }
    case 'invalid_key':
      return [keyFault(pointer, issue.issues[0]?.message ?? issue.message)];
    default:
      return [valueFault(pointer, needsName(issue) ? `"${String(issue.path.at(-1))}" ${issue.message}` : lowerFirst(issue.message))];
  }
}

/** What is said of a value that is missing stands where its owner does. */
const needsName = (issue: z.core.$ZodIssue): boolean => issue.message === missing || (issue.code === 'invalid_type' && issue.expected === 'record');

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
