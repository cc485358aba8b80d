import type { Logger } from 'pino';
import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { faultDetailsOf } from '#core/schema-words.ts';
import type { Problem } from '#schemas/problem.ts';

/** The one place where errors become answers (RFC 9457). What is unknown is told to the log, never to the client. */
export function toProblem(error: unknown, traceId: string, log: Logger): Problem {
  const known = toKosError(error);
  if (known === null) log.error({ error, traceId }, 'unexpected failure of a request');
  const { code, status, message, retryable, fix, details, extra } = known ?? unexpected;
  return {
    ...extra,
    type: `urn:kos:problem:${code}`,
    title: titles[status] ?? 'Error',
    status,
    detail: message,
    code,
    traceId,
    retryable,
    fix,
    errors: details.map((detail) => ({ ...detail })),
  };
}

function toKosError(error: unknown): KosError | null {
  if (error instanceof KosError) return error;
  if (error instanceof z.ZodError) return invalid(error, 'body');
  if (error instanceof URIError) return new KosError({ code: 'url_invalid', message: 'The address holds a malformed % sequence.', status: 400 });
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (isDatabaseAbsence(code)) return databaseUnavailable(error);
  if (code === '40001' || code === '40P01') return databaseContended(error);
  if (code === '22P05' || code === '22021') {
    return new KosError({
      code: 'text_not_storable',
      message: 'A text in the request holds a character that cannot be stored (NUL, or half a surrogate pair).',
      status: 400,
    });
  }
  return null;
}

/** What a request's part must be, with a JSON pointer to each fault. */
export function invalid(error: z.ZodError, part: 'body' | 'query' | 'arguments'): KosError {
  const details = faultDetailsOf(error);
  return new KosError({
    code: 'request_invalid',
    message: `The ${part} of the request ${part === 'arguments' ? 'are' : 'is'} not valid: ${details[0]?.pointer === '' ? '' : `${details[0]?.pointer ?? ''}: `}${details[0]?.message ?? ''}`,
    fix: 'GET /v1/openapi.json describes what is accepted.',
    status: 400,
    details,
  });
}

/** Connection failures of postgres.js and Node, and the SQLSTATE classes 08, 53 and 57 (RFC-like names in Postgres' appendix A). */
const isDatabaseAbsence = (code: string): boolean =>
  /^(CONNECTION_(CLOSED|DESTROYED|ENDED)|CONNECT_TIMEOUT|ECONNREFUSED|ECONNRESET|ENOENT|EPIPE)$/.test(code) || /^(08|53|57P)/.test(code);

const databaseUnavailable = (cause: unknown): KosError =>
  new KosError({
    code: 'database_unavailable',
    message: 'The database does not answer right now. Nothing was changed.',
    fix: 'Repeat the request in a moment, with the same Idempotency-Key where it has one.',
    status: 503,
    retryable: true,
    cause,
  });

/** Serialisation failure and deadlock (SQLSTATE class 40): of two changes the database has taken one back, whole. */
const databaseContended = (cause: unknown): KosError =>
  new KosError({
    code: 'database_contended',
    message: 'Another change of the same rows was under way, and the database let that one pass. Nothing was changed by this request.',
    fix: 'Repeat the request, with the same Idempotency-Key where it has one.',
    status: 503,
    retryable: true,
    cause,
  });

const unexpected = new KosError({
  code: 'internal',
  message: 'Something failed inside kOS. The log of the API tells more, under this traceId.',
  fix: 'Look in logs/api.jsonl of KOS_HOME.',
  status: 500,
});

/** Reason phrases of RFC 9110 for what we answer with. */
const titles: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  507: 'Insufficient Storage',
};
