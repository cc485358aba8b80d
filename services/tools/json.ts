import { z } from 'zod';
import type { FaultDetail } from '#core/errors.ts';
import { checkInputSchema } from '#core/plan/input-schema.ts';
import type { Json } from '#schemas/json.ts';
import { defineTool, maximumOutputBytes } from '#services/tools/define.ts';
import { type Tool, ToolFailure } from '#services/tools/tool.ts';

const limits = { timeoutMs: 5_000, outputBytes: maximumOutputBytes };

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const parse = defineTool({
  name: 'json.parse',
  version: 1,
  description: 'Reads a text as JSON (RFC 8259).',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ text: z.string() }),
  output: z.object({ value: z.unknown() }),
  limits,
  async execute({ text }) {
    try {
      return { value: JSON.parse(text) as unknown };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ToolFailure({ code: 'json_invalid', message: `The text is not JSON: ${reason}`, status: 422, cause: error, effect: 'none' });
    }
  },
});

/** The parts of an RFC 6901 pointer, or null when it is none. */
function pointerParts(pointer: string): string[] | null {
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return null;
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value of one member or element; `found: false` when there is none (own members only: data is never a prototype). */
function member(value: unknown, part: string): { found: boolean; value: unknown } {
  if (Array.isArray(value)) {
    const index = /^(0|[1-9]\d*)$/.test(part) ? Number(part) : -1;
    return index >= 0 && index < value.length ? { found: true, value: value[index] } : { found: false, value: null };
  }
  return isObject(value) && Object.hasOwn(value, part) ? { found: true, value: value[part] } : { found: false, value: null };
}

const select = defineTool({
  name: 'json.select',
  version: 1,
  description: 'Takes the part of a value that a JSON Pointer (RFC 6901) names; null and found: false when there is none.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({
    value: z.unknown(),
    pointer: z.string().refine((pointer) => pointerParts(pointer) !== null, 'must be an RFC 6901 pointer, e.g. /items/0/name'),
  }),
  output: z.object({ value: z.unknown(), found: z.boolean() }),
  limits,
  async execute({ value, pointer }) {
    let current: { found: boolean; value: unknown } = { found: true, value };
    for (const part of pointerParts(pointer) ?? []) {
      current = member(current.value, part);
      if (!current.found) break;
    }
    return current;
  },
});

/** RFC 7396, section 2. Entries are defined, not assigned: a member named `__proto__` stays data. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, mergePatch(merged.get(name), value));
  }
  return Object.fromEntries(merged);
}

const merge = defineTool({
  name: 'json.merge',
  version: 1,
  description: 'Applies a JSON merge patch (RFC 7396): members of the patch replace, null removes.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ target: z.unknown(), patch: z.unknown() }),
  output: z.object({ value: z.unknown() }),
  limits,
  async execute({ target, patch }) {
    return { value: mergePatch(target, patch) };
  },
});

const maximumSchemaBytes = 64 * 1024;
const maximumValueBytes = 1024 * 1024;
/** Keywords whose cost a writer can drive beyond any bound (backtracking patterns, quadratic comparison) inside a process that must stay awake. */
const unboundedKeywords = new Set(['pattern', 'patternProperties', 'uniqueItems']);

/** The first unbounded keyword in keyword position; members of `properties` and the like are names, not keywords. */
function findUnbounded(schema: unknown, isNameMap = false): string | null {
  if (Array.isArray(schema)) return schema.map((item) => findUnbounded(item)).find((found) => found !== null) ?? null;
  if (!isObject(schema)) return null;
  for (const [key, value] of Object.entries(schema)) {
    if (!isNameMap && unboundedKeywords.has(key)) return key;
    if (!isNameMap && ['const', 'enum', 'default', 'examples'].includes(key)) continue;
    const found = findUnbounded(value, !isNameMap && ['properties', '$defs', 'definitions', 'dependentSchemas'].includes(key));
    if (found !== null) return found;
  }
  return null;
}

/** Holds a value against a schema; no faults: it fits. */
export type JsonCheck = (schema: Json, value: Json) => Promise<FaultDetail[]>;

/** Interpreted, never compiled: the schema is the plan author's, and nothing a user wrote becomes code. */
async function faultsAgainst(schema: Json, value: Json, check: JsonCheck): Promise<FaultDetail[]> {
  const [fault] = checkInputSchema(schema, { anyType: true });
  if (fault === undefined) return check(schema, value);
  throw new ToolFailure({
    code: 'schema_invalid',
    message: `The schema cannot be used: ${fault.message} (at ${fault.pointer || 'its root'})`,
    status: 422,
    effect: 'none',
  });
}

const bounded = (bytes: number) => (value: unknown) => Buffer.byteLength(JSON.stringify(value) ?? '') <= bytes;

const validateBy = (check: JsonCheck): Tool =>
  defineTool({
    name: 'json.validate',
    version: 1,
    description: 'Checks a value (at most 1 MB) against a JSON Schema 2020-12 (at most 64 kB; no pattern, patternProperties, uniqueItems or remote $ref).',
    effect: 'pure',
    quick: true,
    input: z.strictObject({
      value: z.unknown().refine(bounded(maximumValueBytes), `must be at most ${maximumValueBytes} bytes`),
      schema: z
        .union([z.record(z.string(), z.unknown()), z.boolean()])
        .refine(bounded(maximumSchemaBytes), `must be at most ${maximumSchemaBytes} bytes`)
        .superRefine((schema, context) => {
          const keyword = findUnbounded(schema);
          if (keyword !== null) context.addIssue({ code: 'custom', message: `must not use ${keyword}` });
        }),
    }),
    output: z.object({ valid: z.boolean(), errors: z.array(z.object({ pointer: z.string(), message: z.string() })) }),
    limits,
    async execute({ value, schema }) {
      const faults = await faultsAgainst(schema as Json, value as Json, check);
      return { valid: faults.length === 0, errors: faults.map(({ pointer, message }) => ({ pointer, message })) };
    },
  });

const echo = defineTool({
  name: 'json.echo',
  version: 1,
  description: 'Returns its input: for measuring and for trying plans.',
  effect: 'pure',
  quick: true,
  input: z.record(z.string(), z.unknown()),
  output: z.record(z.string(), z.unknown()),
  limits,
  async execute(input) {
    return input;
  },
});

/** `check`: where references of a schema must not hold up other work, one that runs under a budget. */
export const jsonTools = (check: JsonCheck): Tool[] => [parse, select, merge, validateBy(check), echo];
