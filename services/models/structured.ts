import type { FaultDetail } from '#core/errors.ts';
import { checkInputSchema } from '#core/plan/input-schema.ts';
import { validateJson } from '#core/plan/json-schema.ts';
import type { Json } from '#schemas/json.ts';
import { ModelFailure } from './model.ts';

/**
 * Holds an answer against the step's schema; no faults: it fits. The answer is a stranger's and the schema may hold regular expressions: where a slow one must
 * not stop other work, give one that runs under a budget.
 */
export type AnswerCheck = (schema: Json, answer: Json) => Promise<FaultDetail[]>;

export const checkAnswerHere: AnswerCheck = async (schema, answer) => validateJson(schema, answer);

/** Throws ModelFailure `model_schema_invalid`, before anything is sent or billed. */
export function requireSchema(schema: Json): void {
  const faults = checkInputSchema(schema, { anyType: true });
  if (faults.length === 0) return;
  throw new ModelFailure({
    code: 'model_schema_invalid',
    message: `The step's schema is no JSON Schema: ${inWords(faults)}`,
    status: 422,
    billed: 'none',
    details: faults,
  });
}

/** At most three faults, which is what a reader takes in. */
export function inWords(faults: FaultDetail[]): string {
  const shown = faults.slice(0, 3).map(({ pointer, message }) => (pointer === '' ? message : `${pointer} ${message}`));
  return shown.join('; ') + (faults.length > 3 ? `; and ${faults.length - 3} more` : '');
}

/** The JSON value in a model's text: the whole text, a fenced block, or the outermost braces. Undefined when there is none. */
export function jsonInText(text: string): Json | undefined {
  const fenced = fencedBlock(text);
  const braces = text.slice(Math.max(0, text.indexOf('{')), text.lastIndexOf('}') + 1);
  for (const candidate of [text, fenced, braces]) {
    const parsed = candidate === undefined ? undefined : parse(candidate.trim());
    if (parsed !== undefined) return parsed;
  }
  return undefined;
}

/** Found by position, not by one pattern over the whole: a model's text may be made of line breaks alone. */
function fencedBlock(text: string): string | undefined {
  const opening = /```(?:json)?[^\S\n]*\n/.exec(text);
  if (opening === null) return undefined;
  const start = opening.index + opening[0].length;
  const end = text.indexOf('```', start);
  return end === -1 ? undefined : text.slice(start, end);
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const isObject = (value: unknown): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value);
