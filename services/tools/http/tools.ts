import { z } from 'zod';
import { readBody } from '#services/egress/answers.ts';
import { guardedRequest, type GuardedResponse } from '#services/egress/fetch.ts';
import { endpointText } from '#services/egress/allow-list.ts';
import { checkUrl, createGuardedDispatcher, type EgressPolicy } from '#services/egress/guard.ts';
import { createScrubber, type Scrubber } from '#services/secrets/scrub.ts';
import { withinTime } from '#services/time-limit.ts';
import { defineTool, maximumOutputBytes } from '#services/tools/define.ts';
import { answerFailure, requestFailure, type Sent } from '#services/tools/http/failures.ts';
import { openHeaders, scrubValue } from '#services/tools/http/secrets.ts';
import { type Tool, type ToolContext, ToolFailure } from '#services/tools/tool.ts';

export interface HttpToolOptions {
  /** Ports of kOS itself, and how names are resolved; what is allowed comes from the workspace's settings at each call. */
  egress: Omit<EgressPolicy, 'allow'>;
}

const defaultBodyBytes = 1024 * 1024;
const maximumBodyBytes = 5 * 1024 * 1024;

/** Headers that frame the message: set by the connection, never by a plan (request smuggling). */
const framingHeaders = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'proxy-authorization',
  'proxy-connection',
  'accept-encoding',
]);

const headersInput = z
  .record(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'must be a header name'),
    z
      .string()
      .max(16_384)
      .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line'),
  )
  .refine((headers) => Object.keys(headers).length <= 100, 'must have at most 100 headers')
  .refine((headers) => Object.keys(headers).every((name) => !framingHeaders.has(name.toLowerCase())), `must not set ${[...framingHeaders].join(', ')}`);

const urlInput = z
  .string()
  .max(8_192)
  .refine((text) => URL.canParse(text), 'must be an absolute address, e.g. https://example.com/path')
  .refine((text) => !(URL.parse(text)?.username || URL.parse(text)?.password), 'must not hold a user name or password: use a header with secret://NAME')
  .refine((text) => !/secret:\/\//i.test(text), 'must not hold a secret: secrets are opened in headers only');

const commonInput = {
  url: urlInput,
  headers: headersInput.default({}),
  /** How the body is given: by its content type, or as told. */
  as: z.enum(['auto', 'json', 'text', 'base64']).default('auto'),
  maxBytes: z.int().min(1).max(maximumBodyBytes).default(defaultBodyBytes),
  timeoutMs: z.int().min(1).max(300_000).default(30_000),
  /** Statuses of 400 and above that are an answer here, not a failure, e.g. [404]. */
  acceptStatus: z.array(z.int().min(400).max(599)).max(50).default([]),
};

const fetchInput = z.strictObject({ ...commonInput, method: z.enum(['GET', 'HEAD']).default('GET') });
const sendInput = z
  .strictObject({
    ...commonInput,
    method: z.enum(['POST', 'PUT', 'PATCH', 'DELETE']).default('POST'),
    /** Sent as JSON. */
    json: z.unknown().optional(),
    /** Sent as it is, as UTF-8. */
    text: z.string().max(maximumOutputBytes).optional(),
  })
  .refine(({ json, text }) => json === undefined || text === undefined, { path: ['text'], message: 'must not be given together with json' });

const answerOutput = z.object({
  status: z.int(),
  /** After redirects. */
  url: z.string(),
  redirects: z.int().nonnegative(),
  headers: z.record(z.string(), z.string()),
  /** Exactly one of the next three holds the body; the others are null. */
  json: z.unknown(),
  text: z.string().nullable(),
  base64: z.string().nullable(),
  bytes: z.int().nonnegative(),
  /** The body was longer than `maxBytes` (http.send only: its effect has happened, so the answer is cut rather than refused). */
  truncated: z.boolean(),
});
type Answer = z.input<typeof answerOutput>;

interface HttpCall {
  url: string;
  method: string;
  headers: Record<string, string>;
  body?: string;
  as: 'auto' | 'json' | 'text' | 'base64';
  maxBytes: number;
  timeoutMs: number;
  acceptStatus: number[];
  /** Cut a body that is too long instead of failing. */
  truncate: boolean;
}

const isJsonType = (type: string): boolean => /^[\w.+-]+\/(?:[\w.-]+\+)?json\b/i.test(type);
const isTextType = (type: string): boolean => /^text\/|[/+](?:xml|yaml|x-yaml|javascript|x-www-form-urlencoded|csv)\b/i.test(type);

const asText = (body: Buffer): string | null => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return null; // not UTF-8: given as base64
  }
};

function parseJson(text: string, scrub: (text: string) => string): { value: unknown } | null {
  // As it stands in the source: a long number loses its last digits when it is read, and would no longer be known for a secret.
  const number = (_name: string, value: unknown, context?: { source?: string }): unknown => {
    if (typeof value !== 'number' || context?.source === undefined) return value;
    const shown = scrub(context.source);
    return shown === context.source ? value : shown;
  };
  try {
    return { value: scrubValue(JSON.parse(text, number), scrub) };
  } catch {
    return null; // the caller decides: text in `auto`, a failure in `json`
  }
}

/** The body in one of its three forms. `auto` falls back from JSON to text to base64. */
function presentBody(body: Buffer, contentType: string, call: HttpCall, scrub: (text: string) => string): Pick<Answer, 'json' | 'text' | 'base64'> {
  const none = { json: null, text: null, base64: null };
  if (body.length === 0) return call.as === 'json' ? none : { ...none, text: '' };
  const wanted = call.as === 'auto' ? (isJsonType(contentType) ? 'json' : isTextType(contentType) ? 'text' : 'base64') : call.as;
  const text = wanted === 'base64' && (call.as === 'base64' || contentType !== '') ? null : asText(body);
  if (wanted === 'json' && text !== null) {
    const parsed = parseJson(text, scrub);
    if (parsed !== null) return { ...none, json: parsed.value };
  }
  if (call.as === 'json')
    throw new ToolFailure({
      code: 'http_not_json',
      message: `${call.method} ${placeOf(call.url)} answered with something that is not JSON`,
      status: 502,
      effect: call.truncate ? 'unknown' : 'none',
    });
  if (text !== null) return { ...none, text: scrub(text) };
  // Bytes as Latin-1 text: one character per byte, so that a secret inside binary data is found.
  return { ...none, base64: Buffer.from(scrub(body.toString('latin1')), 'latin1').toString('base64') };
}

const placeOf = (url: string): string => {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
};

/** Answers' headers as data; cookies are credentials of the connection and stay out of the record. */
function presentHeaders(headers: GuardedResponse['response']['headers'], scrub: (text: string) => string): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => !name.startsWith('set-cookie')).map(([name, value]) => [scrub(name), scrub(value)]));
}

async function present({ response, url, redirects }: GuardedResponse, call: HttpCall, sent: Sent, scrubber: Scrubber): Promise<Answer> {
  const scrub = scrubber.text;
  if (response.status >= 400 && !call.acceptStatus.includes(response.status)) {
    const { body, truncated } = await readBody(response, 2_048);
    const bodyStart = scrub((truncated ? scrubber.cutBody(body) : body).toString('utf8')).slice(0, 500);
    const { status, statusText } = response;
    throw answerFailure({ status, statusText: scrub(statusText), retryAfter: response.headers.get('retry-after'), bodyStart }, sent, Date.now());
  }
  const { body, truncated } = await readBody(response, call.maxBytes);
  if (truncated && !call.truncate) {
    const fix = `Ask for less, or raise maxBytes (at most ${maximumBodyBytes}).`;
    throw new ToolFailure({
      code: 'response_too_large',
      message: `${call.method} ${sent.place} answered with more than ${call.maxBytes} bytes`,
      fix,
      status: 502,
      effect: 'none',
    });
  }
  const shown = presentBody(truncated ? scrubber.cutBody(body) : body, response.headers.get('content-type') ?? '', call, scrub);
  const answer = { status: response.status, url: scrub(url.href), redirects, headers: presentHeaders(response.headers, scrub), bytes: body.length, truncated };
  return { ...answer, ...shown };
}

async function callHttp(call: HttpCall, context: ToolContext, egress: HttpToolOptions['egress']): Promise<Answer> {
  const policy: EgressPolicy = { ...egress, allow: context.settings.egress };
  const url = new URL(call.url);
  const sent: Sent = { method: call.method, place: placeOf(call.url), connected: false, redirected: false };
  let scrubber = createScrubber([]);
  // One dispatcher per call: a pooled connection would outlive a change of the settings that allowed it.
  const onConnected = (): void => {
    sent.connected = true;
  };
  const dispatcher = createGuardedDispatcher(policy, { onConnected, headersTimeoutMs: call.timeoutMs, bodyTimeoutMs: call.timeoutMs, connections: 1 });
  return await withinTime(context.signal, call.timeoutMs, async (limit) => {
    try {
      const opened = await openHeaders(call.headers, endpointText(checkUrl(url, policy)), context);
      scrubber = opened.scrubber;
      const request = {
        method: call.method,
        headers: { 'user-agent': 'kOS', ...opened.headers },
        signal: limit.signal,
        originBoundHeaders: opened.secretHeaders,
        onRedirect: () => {
          sent.redirected = true;
        },
        ...(call.body === undefined ? {} : { body: call.body }),
      };
      return await present(await guardedRequest(url, request, policy, dispatcher), call, sent, scrubber);
    } catch (error) {
      if (limit.passed && !context.signal.aborted && !(error instanceof ToolFailure)) throw timedOut(call, sent);
      throw requestFailure(error, sent, scrubber.text);
    } finally {
      await dispatcher.destroy();
    }
  });
}

function timedOut(call: HttpCall, sent: Sent): ToolFailure {
  const effect = call.truncate && sent.connected ? 'unknown' : 'none';
  const message = `${call.method} ${sent.place} did not answer within ${call.timeoutMs} ms`;
  return new ToolFailure({ code: 'http_timeout', message, status: 504, retryable: true, effect });
}

function sendCall({ json, text, ...input }: z.output<typeof sendInput>, context: ToolContext): HttpCall {
  const body = json === undefined ? text : JSON.stringify(json);
  const given = new Set(Object.keys(input.headers).map((name) => name.toLowerCase()));
  const headers = { ...input.headers };
  if (body !== undefined && !given.has('content-type')) headers['content-type'] = json === undefined ? 'text/plain; charset=utf-8' : 'application/json';
  // The same on every attempt, so that a server that knows the header acts once (draft-ietf-httpapi-idempotency-key-header).
  if (!given.has('idempotency-key')) headers['idempotency-key'] = context.effectKey.replaceAll(/[^\x21-\x7e]/g, '_');
  return { ...input, headers, truncate: true, ...(body === undefined ? {} : { body }) };
}

/** `http.*`: to the hosts that the workspace allows, and to nothing inside the own network unless it is allowed by itself. */
export function httpTools({ egress }: HttpToolOptions): Tool[] {
  const limits = { timeoutMs: 310_000, outputBytes: maximumOutputBytes };
  return [
    defineTool({
      name: 'http.fetch',
      version: 1,
      description: 'Gets an address that the workspace allows (GET or HEAD); follows at most 5 redirects, each checked.',
      effect: 'idempotent',
      input: fetchInput,
      output: answerOutput,
      limits,
      execute: (input, context) => callHttp({ ...input, truncate: false }, context, egress),
    }),
    defineTool({
      name: 'http.send',
      version: 1,
      description: 'Sends to an address that the workspace allows (POST, PUT, PATCH, DELETE), with an Idempotency-Key that is the same on every attempt.',
      effect: 'effectful',
      // What it does to the outside can be neither repeated nor taken back.
      alwaysAsk: true,
      input: sendInput,
      output: answerOutput,
      limits,
      execute: (input, context) => callHttp(sendCall(input, context), context, egress),
    }),
  ];
}
