import { KosError } from '#core/errors.ts';
import { innermostCode, retryAfterMs } from '#services/egress/answers.ts';
import { refusalInside } from '#services/egress/fetch.ts';
import { ToolFailure } from '#services/tools/tool.ts';

/** What an attempt to speak to a server has come to, as far as the outside can have changed. */
export interface Sent {
  method: string;
  /** Without query and fragment: they may hold what is nobody's business in a log. */
  place: string;
  /** A connection stood, so bytes may have gone out. */
  connected: boolean;
  /** The first server has answered, by sending us on: it may have acted. */
  redirected: boolean;
}

const harmless = (method: string): boolean => method === 'GET' || method === 'HEAD';

const effectOf = (sent: Sent): 'none' | 'unknown' => (harmless(sent.method) || !sent.connected ? 'none' : 'unknown');

const certificateCode = /^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_TLS_|HOSTNAME_MISMATCH)/;

/** A request without an answer, as a ToolFailure. `scrub` keeps opened secrets out of every text. */
export function requestFailure(error: unknown, sent: Sent, scrub: (text: string) => string): Error {
  if (error instanceof ToolFailure || error instanceof DOMException) return error;
  const refusal = refusalInside(error);
  // A redirect may name a host or a path with a secret in it.
  const known = refusal ?? (error instanceof KosError ? error : null);
  if (known !== null) {
    const { code, message, fix, status, retryable } = known;
    return new ToolFailure({ code, message: scrub(message), fix: fix === null ? null : scrub(fix), status, retryable, effect: effectOf(sent) });
  }
  const code = innermostCode(error);
  const where = `${sent.method} ${sent.place}`;
  if (code !== null && certificateCode.test(code)) {
    return new ToolFailure({
      code: 'http_certificate',
      message: `${where}: the server's certificate is not trusted (${code})`,
      status: 502,
      effect: effectOf(sent),
    });
  }
  const detail = code ?? scrub(error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error));
  const says = sent.connected ? 'the connection broke before a whole answer came' : 'no connection could be made';
  return new ToolFailure({ code: 'http_unreachable', message: `${where}: ${says} (${detail})`, status: 502, retryable: true, effect: effectOf(sent) });
}

export interface RefusingAnswer {
  status: number;
  statusText: string;
  retryAfter: string | null;
  bodyStart: string;
}

/** An answer of 400 and above as a ToolFailure: 429 and 5xx may be tried again, the rest stays as it is. */
export function answerFailure(answer: RefusingAnswer, sent: Sent, nowMs: number): ToolFailure {
  const { status } = answer;
  const delayMs = retryAfterMs(answer.retryAfter, nowMs);
  const code = status === 429 ? 'http_rate_limited' : status >= 500 ? 'http_server_error' : 'http_client_error';
  // A server that says 4xx has refused; 408 and 5xx may come after it has acted, and so may all that follows a redirect.
  const unknown = !harmless(sent.method) && (status >= 500 || status === 408 || sent.redirected);
  return new ToolFailure({
    code,
    message: `${sent.method} ${sent.place} answered ${status}${answer.statusText === '' ? '' : ` ${answer.statusText}`}`,
    status: 502,
    retryable: status === 408 || status === 425 || status === 429 || status >= 500,
    extra: { status, bodyStart: answer.bodyStart },
    effect: unknown ? 'unknown' : 'none',
    ...(delayMs === null ? {} : { retryAfterMs: delayMs }),
  });
}
