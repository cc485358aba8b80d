import { type Agent, type BodyInit, fetch as undiciFetch, Headers, type HeadersInit, type RequestInit, type Response } from 'undici';
import { KosError } from '#core/errors.ts';
import { checkUrl, createGuardedDispatcher, type EgressPolicy, EgressRefused, type GuardedDispatcherOptions } from '#services/egress/guard.ts';

const usualRedirects = 5;

/** Headers that speak for the caller to one origin and to no other (Fetch standard; the rest by habit of servers). */
const credentialHeaders = ['authorization', 'cookie', 'proxy-authorization', 'x-api-key', 'api-key', 'x-auth-token'];

export interface GuardedRequest {
  method?: string;
  headers?: HeadersInit;
  body?: string | Uint8Array;
  signal?: AbortSignal;
  /** Names of further headers that are dropped when a redirect leaves the origin, e.g. those that hold an opened secret. */
  originBoundHeaders?: readonly string[];
  /** At most; 5 when absent. With 0 an answer that redirects is the answer. */
  redirects?: number;
  /** Called when a server has taken the request and sends us on. */
  onRedirect?: () => void;
}

export interface GuardedResponse {
  response: Response;
  url: URL;
  redirects: number;
}

const redirectStatuses = new Set([301, 302, 303, 307, 308]);

/** The error that a guard threw inside a connection, which fetch wraps as the cause of `TypeError: fetch failed`. */
export function refusalInside(error: unknown): EgressRefused | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth += 1) {
    if (current instanceof EgressRefused) return current;
  }
  return null;
}

/** The request of the next hop by the Fetch standard's rules: what becomes GET, and what does not leave the origin. */
function nextHop(request: GuardedRequest, status: number, from: URL, to: URL): GuardedRequest {
  const headers = new Headers(request.headers);
  const method = request.method ?? 'GET';
  const becomesGet = (status === 303 && method !== 'HEAD' && method !== 'GET') || ((status === 301 || status === 302) && method === 'POST');
  if (from.origin !== to.origin) for (const name of [...credentialHeaders, ...(request.originBoundHeaders ?? [])]) headers.delete(name);
  if (!becomesGet) return { ...request, headers };
  for (const name of ['content-type', 'content-encoding', 'content-language', 'content-location']) headers.delete(name);
  const { body: _dropped, ...rest } = request;
  return { ...rest, method: 'GET', headers };
}

/** Sends through a guarded dispatcher and follows redirects by hand, each checked like the first address. Throws EgressRefused and what undici throws. */
export async function guardedRequest(url: URL, request: GuardedRequest, policy: EgressPolicy, dispatcher: Agent): Promise<GuardedResponse> {
  const { redirects: maximumRedirects = usualRedirects } = request;
  let current = url;
  let hop = request;
  for (let redirects = 0; ; redirects += 1) {
    checkUrl(current, policy);
    const init: RequestInit = {
      method: hop.method ?? 'GET',
      redirect: 'manual',
      dispatcher,
      ...(hop.headers === undefined ? {} : { headers: hop.headers }),
      ...(hop.body === undefined ? {} : { body: hop.body as BodyInit }),
      ...(hop.signal === undefined ? {} : { signal: hop.signal }),
    };
    const response = await undiciFetch(current, init).catch((error: unknown) => {
      throw refusalInside(error) ?? error;
    });
    const location = maximumRedirects > 0 && redirectStatuses.has(response.status) ? response.headers.get('location') : null;
    if (location === null) return { response, url: current, redirects };
    request.onRedirect?.();
    await response.body?.cancel();
    if (redirects === maximumRedirects) {
      throw new KosError({ code: 'too_many_redirects', message: `${url.origin} redirected more than ${maximumRedirects} times`, status: 502 });
    }
    const next = URL.parse(location, current.href);
    if (next === null)
      throw new KosError({ code: 'redirect_invalid', message: `${current.origin} redirected to something that is not an address`, status: 502 });
    hop = nextHop(hop, response.status, current, next);
    current = next;
  }
}

export interface GuardedFetch {
  (input: string | URL | Request, init?: globalThis.RequestInit): Promise<globalThis.Response>;
  /** Closes pooled connections. */
  close(): Promise<void>;
}

/**
 * A function with the shape of `fetch`, for libraries that take one (model clients, webhooks). Bodies are text or bytes, not streams: a redirect
 * must be able to send them again.
 */
export function createGuardedFetch(policy: EgressPolicy, options: GuardedDispatcherOptions = {}): GuardedFetch {
  const dispatcher = createGuardedDispatcher(policy, options);
  const call = async (input: string | URL | Request, init?: globalThis.RequestInit): Promise<globalThis.Response> => {
    const given = new Request(input, init);
    const body = given.body === null ? undefined : new Uint8Array(await given.arrayBuffer());
    const { response } = await guardedRequest(
      new URL(given.url),
      { method: given.method, headers: [...given.headers], signal: given.signal, ...(body === undefined ? {} : { body }) },
      policy,
      dispatcher,
    );
    return response;
  };
  return Object.assign(call, { close: () => dispatcher.close() });
}
