import type { Response } from 'undici';

/** The innermost error code of a failed request: a system's errno, undici's, or TLS's. */
export function innermostCode(error: unknown): string | null {
  let code: string | null = null;
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth += 1) {
    if ('code' in current && typeof current.code === 'string') code = current.code;
  }
  return code;
}

/** Milliseconds that `Retry-After` asks for (RFC 9110: seconds or a date), at most an hour; null when it asks for nothing readable. */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const seconds = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(0, seconds), 3_600_000);
}

/** The body of an answer, no more than `maxBytes` of it. */
export async function readBody(response: Response, maxBytes: number): Promise<{ body: Buffer; truncated: boolean }> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk as Uint8Array);
    bytes += (chunk as Uint8Array).length;
    if (bytes > maxBytes) return { body: Buffer.concat(chunks).subarray(0, maxBytes), truncated: true };
  }
  return { body: Buffer.concat(chunks), truncated: false };
}
