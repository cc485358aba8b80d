import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultDetail, KosError } from '#core/errors.ts';
import type { Credentials } from './credentials.ts';
import { isAway, type Patience, stillAway } from './patience.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Request {
  method: Method;
  /** Below the server's root, with its leading slash: `/v1/runs`. */
  path: string;
  query?: Record<string, string | number | boolean | readonly string[] | undefined>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is; its type goes in `headers`. */
  text?: string;
  headers?: Record<string, string>;
  /** One per action, kept over every retry of it. `POST` without one is never repeated. */
  idempotencyKey?: string;
  /** Doing it twice does what doing it once does, although it is a `POST`. */
  repeatable?: boolean;
  signal?: AbortSignal;
  /** 0: no second try, where the caller asks whether somebody answers at all, or has a patience of its own. */
  retries?: 0;
}

export interface Answer {
  status: number;
  headers: Headers;
  /** The untouched response: its body has not been read. */
  response: Response;
}

export interface Transport {
  /** Throws a KosError for anything but 2xx; a problem document keeps its code, fix and faults. */
  send(request: Request): Promise<Answer>;
  /** The URL that requests go to. */
  address(): Promise<string>;
  /** Reads the key file again at the next request: a restarted server may have another port or key. */
  forgetCredentials(): void;
}

/** Between tries. Short: a person waits; following a run has a patience of its own. */
const retryDelaysMs = [100, 400];
/** The longest `Retry-After` that a command sits out by itself. */
const longestPauseMs = 10_000;
/** A request that has not been answered (headers) by then is given up. */
const answerTimeoutMs = 30_000;

export const newIdempotencyKey = (): string => randomUUID();

export function createTransport(loadCredentials: () => Promise<Credentials>, patience: Patience | null = null): Transport {
  let credentials: Promise<Credentials> | null = null;
  const current = (): Promise<Credentials> => (credentials ??= loadCredentials());
  const forgetCredentials = (): void => {
    credentials = null;
  };
  return {
    address: async () => (await current()).url,
    forgetCredentials,
    send: (request) =>
      patience === null || request.retries === 0 ? sendWithRetries(current, request) : sendPatiently({ current, forgetCredentials, patience }, request),
  };
}

interface Waiting {
  current: () => Promise<Credentials>;
  forgetCredentials: () => void;
  patience: Patience;
}

/** A server that restarts comes back, at another address perhaps: whoever asks in that second is answered a little later, not told to start it. */
async function sendPatiently({ current, forgetCredentials, patience }: Waiting, request: Request): Promise<Answer> {
  for (let since: number | null = null; ; ) {
    try {
      return await sendWithRetries(current, request);
    } catch (error) {
      if (request.signal?.aborted || !isAway(error)) throw error;
      const credentials = await current().catch(() => null);
      if (!(await patience.comesBack(credentials))) throw error;
      if (!isRepeatable(request) && !neverArrived(error)) throw error;
      if (since === null) patience.tell(`${error.message} It is starting or restarting: trying for up to ${patience.forMs / 1_000} s.`);
      since ??= performance.now();
      const waitedMs = performance.now() - since;
      if (waitedMs > patience.forMs) throw stillAway(error, waitedMs);
      forgetCredentials();
      await delay(patience.everyMs, undefined, request.signal === undefined ? {} : { signal: request.signal });
    }
  }
}

async function sendWithRetries(current: () => Promise<Credentials>, request: Request): Promise<Answer> {
  const retries = request.retries ?? (isRepeatable(request) ? retryDelaysMs.length : 0);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await sendOnce(await current(), request);
    } catch (error) {
      const pauseMs = pauseBeforeRetry(error, attempt);
      if (attempt >= retries || pauseMs === null || request.signal?.aborted) throw error;
      await delay(pauseMs, undefined, request.signal === undefined ? {} : { signal: request.signal });
    }
  }
}

/** Nobody listened, or there is nobody to ask yet: whatever was asked has not happened. */
const neverArrived = (error: KosError): boolean => error.code === 'never_started' || codeOf(error.cause) === 'ECONNREFUSED';

/** GET, PUT and DELETE say the same thing twice; POST only under an idempotency key. */
const isRepeatable = (request: Request): boolean =>
  (request.method !== 'POST' && request.method !== 'PATCH') || request.idempotencyKey !== undefined || request.repeatable === true;

/** Null: repeating would not help. */
function pauseBeforeRetry(error: unknown, attempt: number): number | null {
  if (!(error instanceof KosError)) return null;
  const fallbackMs = retryDelaysMs[attempt] ?? 400;
  if (error.code === 'server_unreachable' || error.code === 'idempotency_in_flight') return fallbackMs;
  if (error.status !== 429 && error.status !== 502 && error.status !== 503) return null;
  const askedMs = error.extra['retryAfterMs'];
  if (typeof askedMs !== 'number') return error.retryable ? fallbackMs : null;
  return askedMs <= longestPauseMs ? askedMs : null;
}

async function sendOnce(credentials: Credentials, request: Request): Promise<Answer> {
  const target = targetOf(credentials.url, request);
  const timeout = AbortSignal.timeout(answerTimeoutMs);
  let response: Response;
  try {
    response = await fetchWithinTimeout(target, requestInit(credentials, request), request.signal, timeout);
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw unreachable(credentials.url, error, timeout.aborted);
  }
  if (response.ok) return { status: response.status, headers: response.headers, response };
  throw withOwnRemedy(await faultOfResponse(response, credentials.url), credentials);
}

/** Of a key that the server of this `$KOS_HOME` does not know: no command of `kai` makes another one without it, but a start does. */
function withOwnRemedy(fault: KosError, { local }: Credentials): KosError {
  if (fault.code !== 'credential_refused' || local === undefined) return fault;
  const { code, message, status, details, extra } = fault;
  const fix = local
    ? 'Stop kOS and start it again (npm start): every start writes a key that is good to cli.json.'
    : 'Sign in again (kai login), or set KOS_API_KEY to a key of that server.';
  return new KosError({ code, message, fix, status, details, extra, cause: fault });
}

/** The time-out covers the wait for the answer's head alone: bodies (streams, artifacts) may take as long as they take. */
async function fetchWithinTimeout(target: URL, init: RequestInit, signal: AbortSignal | undefined, timeout: AbortSignal): Promise<Response> {
  const head = new AbortController();
  const abort = (): void => head.abort();
  timeout.addEventListener('abort', abort, { once: true });
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) head.abort();
  try {
    return await fetch(target, { ...init, signal: head.signal, redirect: 'error' });
  } finally {
    timeout.removeEventListener('abort', abort);
  }
}

function targetOf(base: string, request: Request): URL {
  const target = new URL(`${base}${request.path}`);
  if (target.origin !== new URL(base).origin) throw new KosError({ code: 'usage', message: `${request.path} leads to another server than ${base}.` });
  for (const [name, value] of Object.entries(request.query ?? {})) {
    for (const member of Array.isArray(value) ? value : [value]) if (member !== undefined) target.searchParams.append(name, String(member));
  }
  return target;
}

function requestInit(credentials: Credentials, request: Request): RequestInit {
  const headers = new Headers({ accept: 'application/json', 'user-agent': 'kai', ...credentials.headers, ...request.headers });
  if (credentials.apiKey !== null) headers.set('authorization', `Bearer ${credentials.apiKey}`);
  if (request.idempotencyKey !== undefined) headers.set('idempotency-key', request.idempotencyKey);
  if (request.json !== undefined) headers.set('content-type', 'application/json');
  const body = request.json === undefined ? request.text : JSON.stringify(request.json);
  return body === undefined ? { method: request.method, headers } : { method: request.method, headers, body };
}

/** `fetch` hides what happened to the connection in the cause of its error. */
const causeOf = (error: unknown): unknown => (error instanceof Error && error.cause instanceof Error ? error.cause : error);
const codeOf = (error: unknown): string | undefined => (causeOf(error) as NodeJS.ErrnoException | undefined)?.code;

function unreachable(url: string, error: unknown, timedOut: boolean): KosError {
  const cause = causeOf(error);
  const code = codeOf(error);
  const reason = timedOut
    ? `no answer within ${answerTimeoutMs / 1000} s`
    : (reasons[code ?? ''] ?? code ?? (cause instanceof Error ? cause.message : 'no connection'));
  return new KosError({
    code: 'server_unreachable',
    message: `No kOS answers at ${url} (${reason}).`,
    fix: 'Start it: npm start (or kai up). What is wrong: kai doctor',
    status: 503,
    retryable: true,
    cause: error,
  });
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection broken off',
  UND_ERR_SOCKET: 'connection broken off',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'its name cannot be resolved now',
  EHOSTUNREACH: 'host unreachable',
  ETIMEDOUT: 'timed out',
};

/** A problem document as the error it tells of; anything else means that something that is not kOS answered. */
async function faultOfResponse(response: Response, url: string): Promise<KosError> {
  const text = await response.text();
  const problem = parseProblem(response.headers.get('content-type') ?? '', text);
  if (problem === null) {
    return new KosError({
      code: 'not_kos',
      message: `What answers at ${url} is not kOS: HTTP ${response.status} ${response.headers.get('content-type') ?? 'without a type'}.`,
      fix: 'Check KOS_URL, or see which program holds the port: kai doctor',
      status: response.status >= 500 ? response.status : 502,
    });
  }
  const { type: _type, title, status: _status, detail, code, retryable, fix, errors, ...extra } = problem;
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new KosError({
    code: textOr(code, 'unknown'),
    message: textOr(detail, textOr(title, `HTTP ${response.status}`)),
    fix: typeof fix === 'string' ? fix : null,
    status: response.status,
    retryable: retryable === true,
    details: Array.isArray(errors) ? (errors as FaultDetail[]) : [],
    extra: Number.isFinite(retryAfter) ? { ...extra, retryAfterMs: retryAfter * 1000 } : extra,
  });
}

const textOr = (value: unknown, fallback: string): string => (typeof value === 'string' && value !== '' ? value : fallback);

function parseProblem(contentType: string, text: string): Record<string, unknown> | null {
  if (!/json/.test(contentType)) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'code' in value ? { ...value } : null;
  } catch {
    return null; // not JSON although it says so: not kOS
  }
}
