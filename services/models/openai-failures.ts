import { createScrubber } from '#services/secrets/scrub.ts';
import { ModelFailure, type ModelFailureOptions } from './model.ts';

/** What the OpenAI client and LangChain attach to the errors they throw; read by shape, since both wrap and rename classes between versions. */
interface VendorError {
  name?: string;
  message?: string;
  status?: number;
  code?: string | null;
  type?: string | null;
  headers?: Headers | Record<string, string>;
  cause?: unknown;
}

export interface FailureContext {
  model: string;
  /** As it is shown: without user name and password. */
  baseUrl: string;
  /** What no text may show: servers and proxies repeat a refused key in their answers. */
  secrets: readonly string[];
  signal: AbortSignal;
  nowMs: number;
}

/** The one place where an error of an OpenAI-compatible server becomes a ModelFailure. */
export function classifyOpenaiError(error: unknown, context: FailureContext): ModelFailure {
  const own = modelFailureInside(error);
  if (own !== null) return own;
  const vendor: VendorError = typeof error === 'object' && error !== null ? error : { message: String(error) };
  // The vendor's error is no cause of ours: it holds the answer's headers and its body as they came.
  return new ModelFailure(optionsFor(vendor, context));
}

function optionsFor(vendor: VendorError, context: FailureContext): ModelFailureOptions {
  if (context.signal.aborted) return stopped(context);
  if (isContextOverflow(vendor)) return tooLong(context, vendor);
  if (vendor.status !== undefined) return refusedByStatus(vendor.status, vendor, context);
  return brokenConnection(vendor, context);
}

/** A failure of our own that the client wrapped. */
function modelFailureInside(error: unknown): ModelFailure | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth += 1) {
    if (current instanceof ModelFailure) return current;
  }
  return null;
}

/** Shorter ones are no secrets, and would tear words apart. */
const shortestSecret = 6;

const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  createScrubber(secrets.filter((secret) => secret.length >= shortestSecret).map((value) => ({ value, shown: '(hidden)' }))).text(text);

/** The server does not know structured output by schema, although it may know JSON. */
export function isSchemaUnsupported(error: unknown): boolean {
  const { status, message } = (error ?? {}) as VendorError;
  return (status === 400 || status === 422) && /response_format|json_schema|structured output/i.test(message ?? '');
}

function stopped({ signal, model }: FailureContext): ModelFailureOptions {
  const timedOut = signal.reason instanceof Error && signal.reason.name === 'TimeoutError';
  return timedOut
    ? {
        code: 'model_timeout',
        message: `The model ${model} did not answer in the step's time.`,
        fix: 'Give the step a longer timeoutMs.',
        status: 504,
        retryable: true,
        billed: 'unknown',
      }
    : { code: 'model_cancelled', message: `The call to ${model} was cancelled.`, status: 499, billed: 'unknown' };
}

function tooLong({ model, secrets }: FailureContext, vendor: VendorError): ModelFailureOptions {
  return {
    code: 'model_context_too_long',
    message: `The prompt is longer than ${model} takes: ${firstLine(vendor, secrets)}`,
    fix: 'Shorten the prompt, or split it with forEach.',
    status: 422,
    billed: 'none',
  };
}

function refusedByStatus(status: number, vendor: VendorError, context: FailureContext): ModelFailureOptions {
  const { model, baseUrl, nowMs } = context;
  const said = firstLine(vendor, context.secrets);
  const retryAfterMs = retryAfter(vendor, nowMs);
  const wait = retryAfterMs === null ? {} : { retryAfterMs };
  if (status === 401 || status === 403) {
    return {
      code: 'model_unauthorised',
      message: `${baseUrl} refused the API key (${status}): ${said}`,
      fix: 'Check OPENAI_API_KEY, then restart.',
      status: 502,
      billed: 'none',
    };
  }
  if (status === 404) {
    return {
      code: 'model_unknown',
      message: `${baseUrl} does not know the model ${model}: ${said}`,
      fix: 'Name a model that this server offers, as openai/<name>.',
      status: 422,
      billed: 'none',
    };
  }
  if (status === 402 || isQuotaExhausted(vendor)) {
    return {
      code: 'model_quota_exhausted',
      message: `The account at ${baseUrl} has no quota left: ${said}`,
      fix: 'Add credit at the provider.',
      status: 502,
      billed: 'none',
    };
  }
  if (status === 429) {
    return { code: 'model_rate_limited', message: `${baseUrl} limits the rate of ${model}: ${said}`, status: 503, retryable: true, billed: 'none', ...wait };
  }
  if (status === 408 || status === 409 || status >= 500) {
    return { code: 'model_unavailable', message: `${baseUrl} failed with ${status}: ${said}`, status: 502, retryable: true, billed: 'unknown', ...wait };
  }
  return { code: 'model_request_refused', message: `${baseUrl} refused the request to ${model} (${status}): ${said}`, status: 422, billed: 'none' };
}

function brokenConnection(vendor: VendorError, { model, baseUrl, secrets }: FailureContext): ModelFailureOptions {
  const systemCode = systemCodeOf(vendor);
  if (systemCode !== null && ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(systemCode)) {
    return {
      code: 'model_unreachable',
      message: `No model server answers at ${baseUrl} (${systemCode}).`,
      fix: 'Check OPENAI_BASE_URL and that the server runs.',
      status: 502,
      retryable: true,
      billed: 'none',
    };
  }
  const what = vendor.name === 'SyntaxError' ? 'sent JSON that is cut short or broken' : `broke the connection (${systemCode ?? firstLine(vendor, secrets)})`;
  return { code: 'model_response_broken', message: `${baseUrl} ${what} while answering for ${model}.`, status: 502, retryable: true, billed: 'unknown' };
}

const isQuotaExhausted = (vendor: VendorError): boolean => vendor.code === 'insufficient_quota' || vendor.type === 'insufficient_quota';

function isContextOverflow(vendor: VendorError): boolean {
  return (
    vendor.code === 'context_length_exceeded' ||
    vendor.name === 'ContextOverflowError' ||
    /maximum context length|context_length_exceeded/.test(vendor.message ?? '')
  );
}

/** RFC 9110 §10.2.3: seconds or a date; OpenAI also sends milliseconds in a header of its own. Null when the server asked for nothing. */
function retryAfter(vendor: VendorError, nowMs: number): number | null {
  const milliseconds = Number(header(vendor, 'retry-after-ms') ?? Number.NaN);
  if (milliseconds >= 0) return Math.ceil(milliseconds);
  const text = header(vendor, 'retry-after')?.trim();
  if (text === undefined || text === '') return null;
  if (/^\d+(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}

function header(vendor: VendorError, name: string): string | undefined {
  const { headers } = vendor;
  return headers instanceof Headers ? (headers.get(name) ?? undefined) : headers?.[name];
}

/** The code of the system error at the bottom of the chain of causes, which is at most a few errors long. */
function systemCodeOf(error: unknown, depth = 0): string | null {
  if (typeof error !== 'object' || error === null || depth > 5) return null;
  if ('code' in error && typeof error.code === 'string' && /^(E[A-Z]|UND_ERR)/.test(error.code)) return error.code;
  return 'cause' in error ? systemCodeOf(error.cause, depth + 1) : null;
}

/** LangChain appends a paragraph with a link; long bodies of proxies are cut. */
const firstLine = (vendor: VendorError, secrets: readonly string[]): string =>
  withoutSecrets(vendor.message ?? 'no message', secrets)
    .replace(/\n[\s\S]*/, '')
    .slice(0, 300);
