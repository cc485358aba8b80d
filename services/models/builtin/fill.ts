import type { Json } from '#schemas/json.ts';
import { isObject } from '../structured.ts';
import { levelInText } from './log-level.ts';
import { jsonInPrompt } from './subject.ts';
import { sentencesOf } from './prose.ts';
import { keywordsOf, shorten } from './words.ts';

export interface FillSource {
  prompt: string;
  /** What the prompt is about, without its instruction. */
  text: string;
  /** The same in a few sentences, for descriptive fields. */
  summary: string;
}

interface Source extends FillSource {
  /** Values of the same name in JSON that the prompt holds are taken over. */
  known: { [key: string]: Json };
}

/** Fills a JSON Schema from a text by rules: what the text names outright, else what its form suggests, else the plainest value of the type. */
export function fillSchema(schema: Json, source: FillSource): Json {
  const found = jsonInPrompt(source.prompt);
  return fill(schema, '', { ...source, known: found !== undefined && isObject(found) ? found : {} });
}

function fill(schema: Json, name: string, source: Source): Json {
  if (!isObject(schema)) return source.known[name] ?? null;
  if (schema['const'] !== undefined) return schema['const'];
  if (Array.isArray(schema['enum'])) return chooseOne(schema['enum'], source);
  const alternatives = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(alternatives)) return fill(alternatives[0] ?? true, name, source);
  const copied = source.known[name];
  const type = typeOf(schema);
  if (copied !== undefined && jsonType(copied, type)) return copied;
  switch (type) {
    case 'object':
      return fillObject(schema, source);
    case 'array':
      return fillArray(schema, name, source);
    case 'integer':
    case 'number':
      return fillNumber(schema, name, type, source);
    case 'boolean':
      return fillBoolean(name, source);
    case 'null':
      return null;
    default:
      return fillText(schema, name, source);
  }
}

function typeOf(schema: { [key: string]: Json }): string {
  const { type } = schema;
  if (typeof type === 'string') return type;
  if (Array.isArray(type)) return type.filter((one) => typeof one === 'string').find((one) => one !== 'null') ?? 'null';
  return isObject(schema['properties']) ? 'object' : 'string';
}

function jsonType(value: Json, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return type === 'null' ? value === null : typeof value === type;
}

function fillObject(schema: { [key: string]: Json }, source: Source): Json {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  return Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, fill(property, name, source)]));
}

function fillArray(schema: { [key: string]: Json }, name: string, source: Source): Json {
  const items = schema['items'] ?? { type: 'string' };
  const most = Math.min(bound(schema, 'maxItems', 5), 5);
  if (isObject(items) && Array.isArray(items['enum'])) return mentioned(items['enum'], source.text).slice(0, most);
  if (!isObject(items) || typeOf(items) === 'string') return keywordsOf(source.text, most);
  const least = bound(schema, 'minItems', 0);
  return Array.from({ length: Math.min(least, most) }, () => fill(items, name, source));
}

/** The option that the text mentions first; a level that the text states; else the first option. */
function chooseOne(options: Json[], source: Source): Json {
  const level = levelInText(source.text)?.toLowerCase();
  const byLevel = options.find((option) => typeof option === 'string' && level !== undefined && option.toLowerCase().startsWith(level.slice(0, 4)));
  return mentioned(options, source.text)[0] ?? byLevel ?? options[0] ?? null;
}

function mentioned(options: Json[], text: string): Json[] {
  const lower = text.toLowerCase();
  const places = options.map((option) => ({ option, at: typeof option === 'string' && option !== '' ? wordAt(lower, option.toLowerCase()) : -1 }));
  return places
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)
    .map(({ option }) => option);
}

const escapeForRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const wordAt = (text: string, word: string): number => text.search(new RegExp(`(?<![\\p{L}\\p{N}])${escapeForRegExp(word)}(?![\\p{L}\\p{N}])`, 'u'));

/** `orderTotal` is looked for as `order total`, too. */
const spoken = (name: string): string =>
  name
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .replace(/[_-]+/g, ' ')
    .toLowerCase();

/** What stands behind the property's name in the text: `total: 12`, `"total" is 12`. */
function statedValue(name: string, text: string, value: string): string | null {
  const label = spoken(name).split(' ').map(escapeForRegExp).join('[ _-]?');
  return new RegExp(`(?<![\\p{L}\\p{N}])${label}["']?\\s*(?:(?:[:=]|is|was|of|are)\\s*)?["']?(${value})`, 'iu').exec(text)?.[1] ?? null;
}

function fillNumber(schema: { [key: string]: Json }, name: string, type: 'integer' | 'number', source: Source): number {
  const pattern = '-?\\d+(?:\\.\\d+)?';
  const found = statedValue(name, source.text, pattern) ?? new RegExp(`(?<![\\w.])${pattern}(?![\\w])`).exec(source.text)?.[0] ?? '0';
  const number = type === 'integer' ? Math.trunc(Number(found)) : Number(found);
  return Math.min(Math.max(number, bound(schema, 'minimum', Number.NEGATIVE_INFINITY)), bound(schema, 'maximum', Number.POSITIVE_INFINITY));
}

function fillBoolean(name: string, source: Source): boolean {
  const stated = statedValue(name, source.text, 'true|yes|on|false|no|off|not')?.toLowerCase();
  if (stated !== undefined) return ['true', 'yes', 'on'].includes(stated);
  const lower = source.text.toLowerCase();
  return spoken(name)
    .replace(/^(?:is|has|should|needs) /, '')
    .split(' ')
    .every((word) => lower.includes(word));
}

const formats: Record<string, RegExp> = {
  email: /[\w.+-]+@[\w-]+\.[\w.-]*\w/,
  uri: /https?:\/\/[^\s"'<>)]+[^\s"'<>).,]/,
  date: /\b\d{4}-\d\d-\d\d\b/,
  'date-time': /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/,
  ipv4: /\b\d{1,3}(?:\.\d{1,3}){3}\b/,
};

function fillText(schema: { [key: string]: Json }, name: string, source: Source): string {
  const format = typeof schema['format'] === 'string' ? formats[schema['format']] : undefined;
  const found = format?.exec(source.text)?.[0] ?? statedValue(name, source.text, '[^\\n"\',;]{1,200}')?.trim();
  return shorten(found ?? textFor(spoken(name), source), Math.min(bound(schema, 'maxLength', 600), 600));
}

function textFor(name: string, { text, summary }: Source): string {
  if (/title|subject|headline|name|label/.test(name)) return shorten(sentencesOf(text)[0] ?? '', 80);
  if (/keyword|tag|topic|category/.test(name)) return keywordsOf(text, 1)[0] ?? '';
  return summary;
}

const bound = (schema: { [key: string]: Json }, name: string, otherwise: number): number => {
  const value = schema[name];
  return typeof value === 'number' ? value : otherwise;
};
