import { KosError } from '#core/errors.ts';
import { createScrubber, type Scrubber } from '#services/secrets/scrub.ts';
import { type ToolContext, ToolFailure } from '#services/tools/tool.ts';

/** A handle inside a header's value: whole, or as in `Bearer secret://github-token`. */
const handlePattern = /secret:\/\/([A-Za-z0-9][A-Za-z0-9._-]*)/g;

export interface OpenedHeaders {
  headers: Record<string, string>;
  /** Names of the headers that hold an opened secret: they never leave the origin. */
  secretHeaders: string[];
  /** Replaces every opened value, in the spellings that answers use, by its handle. */
  scrubber: Scrubber;
}

/** Applies `scrub` to every text inside a JSON value, names included. */
export function scrubValue(value: unknown, scrub: (text: string) => string): unknown {
  if (typeof value === 'string') return scrub(value);
  if (Array.isArray(value)) return value.map((item) => scrubValue(item, scrub));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [scrub(name), scrubValue(item, scrub)]));
}

async function openHandle(handle: string, host: string, context: ToolContext): Promise<string> {
  const value = await context.openSecret(handle, host).catch((error: unknown) => {
    if (!(error instanceof KosError)) throw error;
    const { code, message, fix, status, retryable } = error;
    throw new ToolFailure({ code, message, fix, status, retryable, cause: error, effect: 'none' });
  });
  if (/^[\t\x20-\x7e\x80-\xff]+$/.test(value)) return value;
  throw new ToolFailure({
    code: 'secret_unusable',
    message: `The value of ${handle} is empty or has characters that no header can carry (line breaks, or beyond Latin-1)`,
    fix: `kai secret set ${handle.slice('secret://'.length)}`,
    effect: 'none',
  });
}

/** Opens the handles in header values for one `host:port`. Called right before sending; nothing keeps the values longer than the request. */
export async function openHeaders(given: Readonly<Record<string, string>>, host: string, context: ToolContext): Promise<OpenedHeaders> {
  const opened = new Map<string, string>();
  for (const value of Object.values(given)) {
    for (const [handle] of value.matchAll(handlePattern)) if (!opened.has(handle)) opened.set(handle, await openHandle(handle, host, context));
  }
  const secretHeaders: string[] = [];
  const headers = Object.entries(given).map(([name, value]) => {
    const filled = value.replace(handlePattern, (handle) => opened.get(handle) ?? handle);
    if (filled !== value) secretHeaders.push(name);
    return [name, filled];
  });
  return {
    headers: Object.fromEntries(headers) as Record<string, string>,
    secretHeaders,
    scrubber: createScrubber([...opened].map(([shown, value]) => ({ value, shown }))),
  };
}
