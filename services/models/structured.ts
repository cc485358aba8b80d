import type { Json } from '#schemas/json.ts';
import { ModelFailure } from './model.ts';

/** What is wrong with a value, in words for people and models; null when it is valid. */
export type SchemaCheck = (value: Json) => string | null;

/** Compiles a JSON Schema. The validator is loaded at first use: most calls have no schema. Throws ModelFailure `model_schema_invalid`. */
export async function compileSchema(schema: Json): Promise<SchemaCheck> {
  const [{ Ajv2020 }, formats] = await Promise.all([import('ajv/dist/2020.js'), import('ajv-formats')]);
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  formats.default.default(ajv);
  try {
    const validate = ajv.compile(withoutDialect(schema));
    return (value) => (validate(value) ? null : ajv.errorsText(validate.errors, { dataVar: 'the answer', separator: '; ' }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ModelFailure({ code: 'model_schema_invalid', message: `The step's schema is no JSON Schema: ${reason}`, status: 422, billed: 'none', cause: error });
  }
}

/** The vocabulary in use is the same in draft 7 and 2020-12, but a validator refuses a dialect that it was not made for. */
function withoutDialect(schema: Json): { [key: string]: Json } | boolean {
  if (!isObject(schema)) return schema === true;
  const { $schema: _dialect, ...rest } = schema;
  return rest;
}

/** The JSON value in a model's text: the whole text, a fenced block, or the outermost braces. Undefined when there is none. */
export function jsonInText(text: string): Json | undefined {
  const fenced = /```(?:json)?\s*\n([\s\S]*?)\n?```/.exec(text)?.[1];
  const braces = text.slice(Math.max(0, text.indexOf('{')), text.lastIndexOf('}') + 1);
  for (const candidate of [text, fenced, braces]) {
    const parsed = candidate === undefined ? undefined : parse(candidate.trim());
    if (parsed !== undefined) return parsed;
  }
  return undefined;
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
