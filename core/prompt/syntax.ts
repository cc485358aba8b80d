import { parse, tokenize } from '@huggingface/jinja';

/** A node of a parsed template, seen without its class: the library exports no types for them. */
export interface PromptNode {
  type: string;
  [property: string]: unknown;
}

export interface ParsedPrompt {
  text: string;
  program: ReturnType<typeof parse>;
  /** How many times its data may be copied, at most, while it is rendered; Infinity where nothing bounds it. */
  copies: number;
}

export type PromptParse = { ok: true; prompt: ParsedPrompt } | { ok: false; message: string };

/** Characters of a template. */
export const longestPrompt = 200_000;

const cache = new Map<string, PromptParse>();
const cacheSize = 500;

/** Parses a Jinja template; parsing the same text again gives the same object. */
export function parsePrompt(text: string): PromptParse {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const parsed = parseUncached(text);
  if (cache.size >= cacheSize) for (const oldest of cache.keys()) if (cache.delete(oldest)) break;
  cache.set(text, parsed);
  return parsed;
}

function parseUncached(text: string): PromptParse {
  if (text.length > longestPrompt) return { ok: false, message: `the template has ${text.length} characters, ${longestPrompt} are allowed` };
  try {
    const program = parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
    return { ok: true, prompt: { text, program, copies: copiesOf(program) } };
  } catch (error) {
    // The parser recurses; a template nested too deep ends as a RangeError.
    const message = error instanceof RangeError ? 'it is nested too deep' : error instanceof Error ? error.message : String(error);
    return { ok: false, message };
  }
}

function isNode(value: unknown): value is PromptNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** Every node below and including `root`, outermost first. */
export function* nodesOf(root: unknown): Generator<PromptNode> {
  if (Array.isArray(root)) {
    for (const member of root) yield* nodesOf(member);
  } else if (root instanceof Map) {
    for (const [key, value] of root) {
      yield* nodesOf(key);
      yield* nodesOf(value);
    }
  } else if (isNode(root)) {
    yield root;
    for (const [property, value] of Object.entries(root)) if (property !== 'type' && property !== 'operator') yield* nodesOf(value);
  }
}

const unboundedNodes = new Set(['For', 'Macro', 'Set', 'CallExpression', 'CallStatement', 'FilterStatement', 'SliceExpression']);

/** Filters in a row, each of which may double the text it is given (`tojson` escapes what the one before it escaped). */
const longestFilterRow = 3;

function copiesOf(program: unknown): number {
  let names = 0;
  let longestRow = 0;
  for (const node of nodesOf(program)) {
    if (unboundedNodes.has(node.type)) return Number.POSITIVE_INFINITY;
    if (node.type === 'Identifier') names += 1;
    if (node.type === 'FilterExpression') longestRow = Math.max(longestRow, filterRow(node));
  }
  return longestRow > longestFilterRow ? Number.POSITIVE_INFINITY : names * 2 ** longestRow;
}

/** Filters between a value and what comes of it, whatever stands between them; counted no further than is needed. */
function filterRow(node: PromptNode): number {
  let row = 0;
  for (const inner of nodesOf(node)) if (inner.type === 'FilterExpression' && (row += 1) > longestFilterRow) break;
  return row;
}
