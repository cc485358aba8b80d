import { randomBytes } from 'node:crypto';

/** One request among all, for logs on both sides. */
export interface RequestTrace {
  /** The caller's trace where it sends one (W3C Trace Context), else a new one: 32 hex digits. */
  traceId: string;
  /** The caller's word for this request (`X-Request-Id`), else a new one. */
  requestId: string;
  /** What we answer: the same trace, our own part of it. */
  traceparent: string;
}

const form = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const nothing = /^0+$/;

/** What callers send goes into logs and back to them, so it must be short and plain; anything else is replaced. */
export function traceOf(headers: { traceparent: string | undefined; requestId: string | undefined }): RequestTrace {
  const [, given, parent, flags] = form.exec(headers.traceparent ?? '') ?? [];
  const isValid = given !== undefined && parent !== undefined && !nothing.test(given) && !nothing.test(parent);
  const traceId = isValid ? given : newTraceId();
  const requestId = /^[A-Za-z0-9._-]{1,128}$/.test(headers.requestId ?? '') ? (headers.requestId ?? '') : randomBytes(8).toString('hex');
  return { traceId, requestId, traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-${isValid ? (flags ?? '00') : '00'}` };
}

export const newTraceId = (): string => randomBytes(16).toString('hex');
