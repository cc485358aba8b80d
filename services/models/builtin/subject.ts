import type { Json } from '#schemas/json.ts';
import { isObject, jsonInText } from '../structured.ts';
import { levelInText } from './log-level.ts';

/** What a prompt is about, its instruction left aside. */
export type Subject =
  /** One kind of log message, as a log tool describes it. */
  { kind: 'cluster'; cluster: LogCluster } | { kind: 'log'; lines: string[] } | { kind: 'prose'; text: string };

export interface LogCluster {
  template: string;
  level: unknown;
  count: number | null;
  /** As the tool wrote them; null when it gave none. */
  firstSeen: string | null;
  lastSeen: string | null;
  examples: string[];
  files: string[];
}

export function subjectOf(prompt: string): Subject {
  const value = jsonInPrompt(prompt);
  const cluster = value === undefined ? null : asCluster(value);
  if (cluster !== null) return { kind: 'cluster', cluster };
  const text = value === undefined ? withoutInstruction(prompt) : textsIn(value).join('\n');
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return looksLikeLog(lines) ? { kind: 'log', lines } : { kind: 'prose', text };
}

/** An object or array in the prompt; a bare number or word is not worth more than the text around it. */
export function jsonInPrompt(prompt: string): Json | undefined {
  const value = jsonInText(prompt) ?? jsonInText(prompt.slice(Math.max(0, prompt.indexOf('[')), prompt.lastIndexOf(']') + 1));
  return typeof value === 'object' && value !== null ? value : undefined;
}

function asCluster(value: Json): LogCluster | null {
  if (!isObject(value)) return null;
  const template = pick(value, ['template', 'pattern', 'signature', 'message']);
  if (typeof template !== 'string') return null;
  const count = pick(value, ['count', 'occurrences', 'times', 'size', 'total']);
  const examples = pick(value, ['examples', 'samples', 'lines', 'sample', 'example']);
  return {
    template,
    level: pick(value, ['level', 'severity']) ?? null,
    count: typeof count === 'number' ? count : null,
    firstSeen: textOrNull(pick(value, ['firstSeen', 'first', 'firstAt', 'since', 'from'])),
    lastSeen: textOrNull(pick(value, ['lastSeen', 'last', 'lastAt', 'until', 'to'])),
    examples: textsIn(examples ?? null),
    files: textsIn(pick(value, ['files', 'file']) ?? null),
  };
}

const pick = (value: { [key: string]: Json }, names: string[]): Json | undefined =>
  names.map((name) => value[name]).find((found) => found !== undefined && found !== null);
const textOrNull = (value: Json | undefined): string | null => (typeof value === 'string' ? value : null);

/** Every text inside a value, in order. */
export function textsIn(value: Json): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isObject(value) ? Object.values(value).flatMap(textsIn) : [];
}

/** Drops what asks (`Summarise this:`) when what is asked about follows it. */
export function withoutInstruction(prompt: string): string {
  const match = /^[^\n:]{0,200}:\s+(?=\S)/.exec(prompt.trimStart());
  const opensLikeAnOrder = /^(?:please|summari[sz]e|explain|describe|extract|list|find|what|which|classify|fill|read|give|tell|name|write)\b/i.test(
    prompt.trimStart(),
  );
  return match !== null && opensLikeAnOrder ? prompt.trimStart().slice(match[0].length) : prompt;
}

const timeInLine = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d|^\w{3} +\d+ \d\d:\d\d:\d\d|\b\d\d:\d\d:\d\d\b/;

/** Most lines carry a time or state a level. */
function looksLikeLog(lines: string[]): boolean {
  const marked = lines.filter((line) => timeInLine.test(line) || levelInText(line) !== null);
  return lines.length > 0 && marked.length * 2 > lines.length;
}
