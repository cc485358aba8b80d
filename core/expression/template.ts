import { KosError } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';
import { evaluateExpression, type Expression, outermostPaths, parseExpression } from './expression.ts';
import type { TemplateFault } from './faults.ts';
import { expressionLimits } from './limits.ts';
import { scanText } from './scan.ts';
import type { Scope } from './scope.ts';
import { textOf } from './values.ts';

export type TemplateNode =
  | { kind: 'constant'; value: Json }
  /** One expression alone: its value keeps its type. */
  | { kind: 'expression'; expression: Expression }
  | { kind: 'text'; parts: (string | Expression)[] }
  | { kind: 'list'; items: TemplateNode[] }
  | { kind: 'object'; entries: [string, TemplateNode][] };

export interface LocatedExpression {
  expression: Expression;
  /** RFC 6901 pointer from the template's root to the text that holds it. */
  pointer: string;
  /** Offset of the expression's source in that text. */
  offset: number;
  /** There is other text around it, so its value is turned into text. */
  inText: boolean;
}

/** JSON with `${…}` in its texts, parsed once. */
export interface Template {
  /** What it was parsed from; the evaluator's own process parses it again from here. */
  source: Json;
  root: TemplateNode;
  expressions: LocatedExpression[];
  /** Every expression stands alone and only follows literal keys: evaluation is a few look-ups. */
  simple: boolean;
  steps: ReadonlySet<string>;
  /** The data its expressions read, as keys from a root. */
  paths: string[][];
}

/** Parses a value; collects what is wrong instead of stopping at the first fault. */
export function readTemplate(source: Json): { template: Template; faults: TemplateFault[] } {
  const reader: Reader = { expressions: [], faults: [] };
  const root = readNode(source, '', reader, 0);
  const { expressions, faults } = reader;
  const distinct = [...new Set(expressions.map(({ expression }) => expression))];
  const template: Template = {
    source,
    root,
    expressions,
    simple: expressions.every(({ expression, inText }) => expression.chain !== undefined && !inText),
    steps: new Set(distinct.flatMap((expression) => expression.steps)),
    paths: distinct.length === 1 ? (distinct[0]?.paths ?? []) : outermostPaths(distinct.flatMap((expression) => expression.paths)),
  };
  return { template, faults };
}

/** Parses a value; throws `expression_syntax` when an expression in it cannot be parsed. */
export function parseTemplate(source: Json): Template {
  const { template, faults } = readTemplate(source);
  const first = faults[0];
  if (first === undefined) return template;
  throw new KosError({
    code: 'expression_syntax',
    message: `Expression \${${first.source}} cannot be parsed: ${first.message}`,
    fix: 'Correct the expression; `kai plan validate` shows where it stands.',
    status: 422,
    details: faults.map(({ pointer, message }) => ({ pointer, message })),
  });
}

interface Reader {
  expressions: LocatedExpression[];
  faults: TemplateFault[];
}

function readNode(value: Json, pointer: string, reader: Reader, depth: number): TemplateNode {
  if (typeof value === 'string') return readText(value, pointer, reader);
  if (typeof value !== 'object' || value === null) return { kind: 'constant', value };
  if (depth > expressionLimits.valueDepth) {
    reader.faults.push({ pointer, source: '', offset: 0, start: 0, end: 0, message: `the value is nested more than ${expressionLimits.valueDepth} deep` });
    return { kind: 'constant', value: null };
  }
  if (Array.isArray(value)) {
    const items = value.map((item, index) => readNode(item, `${pointer}/${index}`, reader, depth + 1));
    return items.every(isConstant) ? constantList(value, items) : { kind: 'list', items };
  }
  const entries = Object.entries(value).map(([key, member]): [string, TemplateNode] => {
    const memberPointer = `${pointer}/${escapePointer(key)}`;
    if (key.includes('${')) {
      reader.faults.push({ pointer: memberPointer, source: '', offset: 0, start: 0, end: 0, message: 'expressions in keys are not evaluated' });
    }
    return [key, readNode(member, memberPointer, reader, depth + 1)];
  });
  return entries.every(([, node]) => isConstant(node)) && !entries.some(([key]) => key.includes('${'))
    ? constantOf(value, entries)
    : { kind: 'object', entries };
}

/** `$${` inside a constant text has been read already, so a constant list or object is rebuilt when one of its members changed. */
function constantList(list: Json[], items: { kind: 'constant'; value: Json }[]): TemplateNode {
  const unchanged = items.every((item, index) => item.value === list[index]);
  return { kind: 'constant', value: unchanged ? list : items.map((item) => item.value) };
}

function constantOf(value: Json, entries: [string, TemplateNode][]): TemplateNode {
  const members = entries as [string, { kind: 'constant'; value: Json }][];
  const unchanged = members.every(([key, node]) => (value as { [key: string]: Json })[key] === node.value);
  return { kind: 'constant', value: unchanged ? value : (Object.fromEntries(members.map(([key, node]) => [key, node.value])) as Json) };
}

function isConstant(node: TemplateNode): node is { kind: 'constant'; value: Json } {
  return node.kind === 'constant';
}

export function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function readText(text: string, pointer: string, reader: Reader): TemplateNode {
  if (!text.includes('${')) return { kind: 'constant', value: text };
  const scanned = scanText(text);
  if (!scanned.ok) {
    reader.faults.push({ pointer, source: '', offset: 0, message: scanned.message, start: scanned.start, end: scanned.end });
    return { kind: 'constant', value: null };
  }
  const parts: (string | Expression)[] = [];
  for (const piece of scanned.pieces) {
    if (piece.kind === 'literal') {
      parts.push(piece.text);
      continue;
    }
    const parsed = parseExpression(piece.source);
    if (!parsed.ok) reader.faults.push({ ...parsed.fault, pointer, source: piece.source, offset: piece.offset });
    else if (reader.expressions.length >= expressionLimits.expressionsPerTemplate) {
      refuseMoreExpressions(reader, pointer, piece);
    } else {
      parts.push(parsed.expression);
      reader.expressions.push({ expression: parsed.expression, pointer, offset: piece.offset, inText: scanned.pieces.length > 1 });
    }
  }
  return nodeOfParts(parts);
}

function refuseMoreExpressions(reader: Reader, pointer: string, piece: { source: string; offset: number }): void {
  const { expressionsPerTemplate } = expressionLimits;
  if (reader.faults.some((fault) => fault.message.startsWith('more than'))) return;
  const end = piece.source.length;
  reader.faults.push({ pointer, ...piece, start: 0, end, message: `more than ${expressionsPerTemplate} expressions in one value` });
}

function nodeOfParts(parts: (string | Expression)[]): TemplateNode {
  const [only] = parts;
  if (parts.length === 0 || only === undefined) return { kind: 'constant', value: '' };
  if (parts.length > 1) return { kind: 'text', parts };
  return typeof only === 'string' ? { kind: 'constant', value: only } : { kind: 'expression', expression: only };
}

/** Evaluates in this thread; throws `KosError` with the code `expression_failed` or `expression_result`. */
export function evaluateTemplate(template: Template, scope: Scope): Json {
  return evaluateNode(template.root, scope);
}

function evaluateNode(node: TemplateNode, scope: Scope): Json {
  switch (node.kind) {
    case 'constant':
      return node.value;
    case 'expression':
      return evaluateExpression(node.expression, scope);
    case 'text':
      return evaluateText(node.parts, scope);
    case 'list':
      return node.items.map((item) => evaluateNode(item, scope));
    case 'object':
      return Object.fromEntries(node.entries.map(([key, member]) => [key, evaluateNode(member, scope)]));
  }
}

function evaluateText(parts: (string | Expression)[], scope: Scope): string {
  let text = '';
  for (const part of parts) {
    text += typeof part === 'string' ? part : textOf(evaluateExpression(part, scope));
    if (text.length > expressionLimits.textLength) throw textTooLong(text.length);
  }
  return text;
}

function textTooLong(length: number): KosError {
  return new KosError({
    code: 'expression_result',
    message: `A text with expressions in it came to ${length} characters; ${expressionLimits.textLength} are allowed.`,
    fix: 'Write large results as an artifact, or shorten what is put into the text.',
    status: 422,
  });
}

/** Ids of the steps that the template mentions. */
export function mentions(template: Template): ReadonlySet<string> {
  return template.steps;
}
