import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLParseError } from 'yaml';
import type { FaultDetail } from '#core/errors.ts';
import { escapePointer } from '#core/expression/template.ts';
import { emptyPlan } from './document.ts';
import { planLimits } from '#schemas/plan.ts';
import type { Json } from '#schemas/json.ts';

export interface Position {
  /** Both from 1; columns count UTF-16 units. */
  line: number;
  column: number;
}

/**
 * Where a value stands in the text. `part: 'key'` points at the key instead of the value. `inside` names a piece of the text's content
 * (an expression) that stands at `offset` in the value and, in it, the offset of the fault.
 */
export type Locator = (pointer: string, part?: 'key' | 'value', inside?: { source: string; offset: number; start: number }) => Position | undefined;

export type ParsedText = { ok: true; document: Json; locate: Locator } | { ok: false; faults: FaultDetail[] };

/** Aliases are for a few shared values; a document that leans on them more is taken for a bomb. */
const aliasLimits = { aliases: 100, expandedNodes: 10_000 };
/** Nested lists and maps; deeper ones would also be deeper than any recursion should go. */
const deepestNesting = 100;
const tooDeep = `the text is nested more than ${deepestNesting} deep`;

/** Reads YAML 1.2 (core schema) or JSON as plain data, with positions. Nothing in the text can run or refer to anything outside it. */
export function readText(text: string, format: 'yaml' | 'json' = 'yaml'): ParsedText {
  const bytes = Buffer.byteLength(text);
  if (bytes > planLimits.textBytes) {
    return refused(
      `the text has ${bytes} bytes; ${planLimits.textBytes} are allowed`,
      { line: 1, column: 1 },
      'keep data out of the plan: read it with a tool, or pass it as input',
    );
  }
  if (text.trim() === '') return refused(emptyPlan.message, { line: 1, column: 1 }, emptyPlan.suggestion);
  if (format === 'json') {
    const fault = jsonFault(text);
    if (fault !== undefined) return { ok: false, faults: [fault] };
  }
  try {
    return compose(text);
  } catch (error) {
    // The composer recurses over block collections; a text indented thousands deep ends here.
    if (error instanceof RangeError) return refused(tooDeep, { line: 1, column: 1 });
    throw error;
  }
}

function refused(message: string, position: Position, suggestion?: string): ParsedText {
  return { ok: false, faults: [{ pointer: '', message, ...position, ...(suggestion === undefined ? {} : { suggestion }) }] };
}

function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - before.lastIndexOf('\n') };
}

function jsonFault(text: string): FaultDetail | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const message = (error as Error).message;
    const offset = Number(/position (\d+)/.exec(message)?.[1] ?? firstForeign(text));
    return { pointer: '', message: `not valid JSON: ${message}`, ...positionAt(text, Math.min(offset, text.length)) };
  }
}

/** Offset of the first thing that is no token of JSON, for messages that do not say where; the end when all are. */
function firstForeign(text: string): number {
  const token = /\s*(?:[{}[\],:]|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;
  let end = 0;
  while (token.test(text)) end = token.lastIndex;
  return end + (/^\s*/.exec(text.slice(end))?.[0].length ?? 0);
}

function compose(text: string): ParsedText {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    lineCounter: lines,
    // Compares each key with each other: quadratic. Duplicates are found below.
    uniqueKeys: false,
    prettyErrors: false,
    resolveKnownTags: false,
    // Silent, it would drop a second document without a word.
    logLevel: 'error',
  });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(Math.min(Math.max(0, offset), text.length));
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (document.errors.length > 0) {
    const faults = document.errors.slice(0, 20).map((error) => ({ pointer: '', message: describeError(error), ...at(error.pos[0]) }));
    return { ok: false, faults };
  }
  const reader = new DocumentReader(at);
  const value = document.contents === null ? null : reader.read(document.contents, '', 0);
  if (reader.faults.length > 0) return { ok: false, faults: reader.faults.slice(0, 20) };
  return { ok: true, document: value, locate: createLocator(document.contents, reader.anchors, text, at) };
}

function describeError(error: YAMLParseError): string {
  if (error.code === 'MULTIPLE_DOCS') return 'there must be one YAML document, and another begins here';
  // The parser calls itself for each level, and tells of its end in the engine's words.
  if (error.message.includes('call stack')) return tooDeep;
  return `not valid YAML: ${firstLine(error.message)}`;
}

function firstLine(message: string): string {
  return message.split('\n')[0] ?? message;
}

/** Turns composed nodes into JSON and collects what plain JSON has no place for. */
class DocumentReader {
  readonly faults: FaultDetail[] = [];
  readonly anchors = new Map<string, Node>();
  readonly #at: (offset: number) => Position;
  readonly #open = new Set<Node>();
  #aliases = 0;
  #expandedNodes = 0;
  #insideAlias = 0;
  #stopped = false;

  constructor(at: (offset: number) => Position) {
    this.#at = at;
  }

  read(node: Node, pointer: string, depth: number): Json {
    if (this.#stopped || this.faults.length >= 20) return null;
    if (depth > deepestNesting) return this.#fault(node, pointer, `nested more than ${deepestNesting} deep`);
    if (this.#insideAlias > 0 && (this.#expandedNodes += 1) > aliasLimits.expandedNodes) {
      this.#stopped = true;
      return this.#fault(node, pointer, `aliases expand to more than ${aliasLimits.expandedNodes} values`);
    }
    if (isAlias(node)) return this.#readAlias(node, node.source, pointer, depth);
    if (node.tag !== undefined) return this.#fault(node, pointer, `tags such as ${node.tag} are not allowed here`);
    if ('anchor' in node && node.anchor !== undefined) this.anchors.set(node.anchor, node);
    this.#open.add(node);
    const value = this.#readPlain(node, pointer, depth);
    this.#open.delete(node);
    return value;
  }

  #readPlain(node: Node, pointer: string, depth: number): Json {
    if (isScalar(node)) return this.#readScalar(node, node.value, pointer);
    if (isSeq<Node>(node)) return node.items.map((item, index) => this.read(item, `${pointer}/${index}`, depth + 1));
    if (isMap<Node, Node | null>(node)) return this.#readMap(node.items, pointer, depth);
    return this.#fault(node, pointer, 'this kind of value is not allowed here');
  }

  #readScalar(node: Node, value: unknown, pointer: string): Json {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value !== 'number') return this.#fault(node, pointer, 'this kind of value is not allowed here');
    if (!Number.isFinite(value)) return this.#fault(node, pointer, 'JSON has no infinite numbers and no NaN');
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) return this.#fault(node, pointer, 'this integer is too large to be exact', 'put it in quotes');
    return value;
  }

  #readMap(pairs: { key: Node; value: Node | null }[], pointer: string, depth: number): Json {
    const entries: [string, Json][] = [];
    const seen = new Set<string>();
    for (const pair of pairs) {
      const key = this.#readKey(pair.key, pointer);
      if (key === undefined) continue;
      const memberPointer = `${pointer}/${escapePointer(key)}`;
      if (seen.has(key)) this.#fault(pair.key, memberPointer, `the key "${key}" is there twice`);
      seen.add(key);
      entries.push([key, pair.value === null ? null : this.read(pair.value, memberPointer, depth + 1)]);
    }
    return Object.fromEntries(entries);
  }

  #readKey(key: Node, pointer: string): string | undefined {
    const plain = isScalar(key) && key.tag === undefined && key.anchor === undefined;
    if (plain && (typeof key.value === 'string' || typeof key.value === 'number' || typeof key.value === 'boolean')) {
      if (key.value === '<<') this.#fault(key, pointer, 'merge keys (<<) are not allowed here');
      return String(key.source ?? key.value);
    }
    this.#fault(key, pointer, 'a key must be plain text');
    return undefined;
  }

  #readAlias(node: Node, name: string, pointer: string, depth: number): Json {
    const target = this.anchors.get(name);
    if (target === undefined) return this.#fault(node, pointer, `the alias *${name} has no anchor before it`);
    if (this.#open.has(target)) return this.#fault(node, pointer, `the alias *${name} contains itself`);
    this.#aliases += 1;
    if (this.#aliases > aliasLimits.aliases) {
      this.#stopped = true;
      return this.#fault(node, pointer, `the text uses more than ${aliasLimits.aliases} aliases`);
    }
    this.#insideAlias += 1;
    const value = this.read(target, pointer, depth);
    this.#insideAlias -= 1;
    return value;
  }

  #fault(node: Node, pointer: string, message: string, suggestion?: string): null {
    this.faults.push({ pointer, message, ...this.#at(node.range?.[0] ?? 0), ...(suggestion === undefined ? {} : { suggestion }) });
    return null;
  }
}

function createLocator(root: Node | null, anchors: Map<string, Node>, text: string, at: (offset: number) => Position): Locator {
  const resolve = (node: Node | null): Node | null => (isAlias(node) ? (anchors.get(node.source) ?? node) : node);

  /** Walks as far as the pointer leads: what is missing is reported where it should have been. */
  const find = (pointer: string): { key: Node | null; value: Node | null } => {
    let found: { key: Node | null; value: Node | null } = { key: null, value: root };
    for (const part of pointerKeys(pointer)) {
      const container = resolve(found.value);
      if (isMap<Node, Node | null>(container)) {
        const pair = container.items.find(({ key }) => isScalar(key) && String(key.source ?? key.value) === part);
        if (pair === undefined) return found;
        found = { key: pair.key, value: pair.value };
      } else if (isSeq<Node>(container)) {
        const item = container.items[Number(part)];
        if (item === undefined) return found;
        found = { key: item, value: item };
      } else return found;
    }
    return found;
  };

  return (pointer, part = 'value', inside) => {
    const { key, value } = find(pointer);
    const node = part === 'key' ? (key ?? value) : (resolve(value) ?? key);
    if (node === null) return { line: 1, column: 1 };
    const start = node.range?.[0] ?? 0;
    return at(inside === undefined ? start : offsetInside(text, start, node.range?.[1] ?? text.length, inside));
  };
}

/** Escapes and folding move a piece within its quotes, so it is looked for; where it is not found, the value's start stands for it. */
function offsetInside(text: string, start: number, end: number, inside: { source: string; offset: number; start: number }): number {
  const raw = text.slice(start, end);
  const nearby = raw.indexOf(inside.source, Math.min(inside.offset, raw.length));
  const found = nearby === -1 ? raw.indexOf(inside.source) : nearby;
  return found === -1 ? start : start + found + inside.start;
}

export function pointerKeys(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}
