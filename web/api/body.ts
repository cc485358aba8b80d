import type { IncomingMessage } from 'node:http';
import { KosError } from '#core/errors.ts';
import type { BodyFormat, Route } from './route.ts';

/** A body as it came. */
export interface RawBody {
  bytes: Buffer;
  /** Media type, without parameters; empty: none was named. */
  type: string;
}

/** Objects and arrays inside each other; deeper bodies exhaust the stack of whoever walks them. */
const deepestNesting = 200;

/** Reads and parses the body of a route, or gives undefined when there is none. What the type says is believed only as far as it parses. */
export async function readBody(request: IncomingMessage, route: Pick<Route, 'body' | 'bodyFormats' | 'bodyBytes'>): Promise<unknown> {
  if (route.body === undefined) return undefined;
  const bytes = await readBytes(request, route.bodyBytes);
  if (route.bodyFormats.includes('raw')) return { bytes, type: contentTypeOf(request) } satisfies RawBody;
  // An empty text is a text, if it says that it is one; an empty JSON is nothing.
  if (bytes.length === 0 && formatNamed(contentTypeOf(request)) !== 'yaml') return undefined;
  const text = decode(bytes);
  switch (formatOf(request, route.bodyFormats)) {
    case 'json':
      return parseJson(text);
    case 'yaml':
      return { source: text, format: 'yaml' };
    case 'form':
      return Object.fromEntries(new URLSearchParams(text));
  }
}

async function readBytes(request: IncomingMessage, cap: number): Promise<Buffer> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw unsupported(`The content encoding ${encoding} is not accepted.`, 'Send the body as it is.');
  if (Number(request.headers['content-length'] ?? 0) > cap) throw tooLarge(cap);
  const chunks: Buffer[] = [];
  let size = 0;
  // The request outlives a refusal: the client must be able to read the answer while Node discards the rest.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += (chunk as Buffer).length;
    if (size > cap) throw tooLarge(cap);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** What each format calls itself. */
export const mediaTypes: Record<BodyFormat, string> = {
  json: 'application/json',
  yaml: 'application/yaml',
  form: 'application/x-www-form-urlencoded',
  raw: '*/*',
};

export const contentTypeOf = (request: IncomingMessage): string => (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';

export const isJsonType = (type: string): boolean => type === mediaTypes.json || type.endsWith('+json');

type ParsedFormat = Exclude<BodyFormat, 'raw'>;

function formatNamed(type: string): ParsedFormat | null {
  if (isJsonType(type)) return 'json';
  if (/^(application|text)\/(x-)?yaml$/.test(type)) return 'yaml';
  return type === mediaTypes.form ? 'form' : null;
}

function formatOf(request: IncomingMessage, formats: readonly BodyFormat[]): ParsedFormat {
  const type = contentTypeOf(request);
  const format = formatNamed(type);
  if (format !== null && formats.includes(format)) return format;
  const wanted = formats.map((name) => mediaTypes[name]).join(' or ');
  throw unsupported(`The content type ${type === '' ? '(none)' : JSON.stringify(type)} is not accepted here.`, `Send Content-Type: ${wanted}.`);
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new KosError({ code: 'body_invalid', message: 'The body is not UTF-8.', status: 400, cause });
  }
}

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new KosError({ code: 'body_invalid', message: `The body is not JSON: ${(cause as Error).message}`, status: 400, cause });
  }
  if (isNestedDeeper(value, deepestNesting)) {
    throw new KosError({ code: 'body_invalid', message: `The body nests deeper than ${deepestNesting} levels.`, status: 400 });
  }
  return value;
}

/** Level by level, without recursion: the body may be as deep as it is long. */
function isNestedDeeper(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth <= levels; depth += 1) {
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
    if (level.length === 0) return false;
  }
  return true;
}

const tooLarge = (cap: number): KosError =>
  new KosError({ code: 'body_too_large', message: `The body is larger than ${cap.toLocaleString('en')} bytes, the most that this route takes.`, status: 413 });

const unsupported = (message: string, fix: string): KosError => new KosError({ code: 'media_type_unsupported', message, fix, status: 415 });
