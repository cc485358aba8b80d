import type { Attempt } from '#schemas/outgoing.ts';
import { innermostCode, readBody, retryAfterMs } from '#services/egress/answers.ts';
import { guardedRequest, refusalInside } from '#services/egress/fetch.ts';
import { createGuardedDispatcher, type EgressPolicy } from '#services/egress/guard.ts';
import { createScrubber, type Hidden } from '#services/secrets/scrub.ts';
import { withinTime } from '#services/time-limit.ts';

/** What is sent: `id` is the event's, by which equal ones are known. */
export interface OutgoingMessage {
  id: string;
  body: string;
}

export interface Post {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Kept out of what is put on record of the answer. */
  hidden?: readonly Hidden[];
}

/** What came of it: what is put on record, and what the receiver asks for. */
export interface Posted {
  attempt: Attempt;
  retryAfterMs: number | null;
}

/** Receivers take what they get and work on it later; one that is slower is tried again. */
const answerWithinMs = 15_000;
const answerBytes = 500;

/** Posts once, through the guard that tools go through. Redirects are not followed: they are a failure that says where to. Throws what `signal` was aborted with. */
export async function post({ url, headers, body, hidden = [] }: Post, policy: EgressPolicy, signal: AbortSignal): Promise<Posted> {
  const startedMs = Date.now();
  const scrubber = createScrubber(hidden);
  const done = (came: Pick<Attempt, 'status' | 'error' | 'answer'> & { fix?: string | null; retryAfterMs?: number | null }): Posted => ({
    attempt: {
      at: new Date(startedMs).toISOString(),
      status: came.status,
      error: came.error,
      fix: came.fix ?? null,
      durationMs: Date.now() - startedMs,
      answer: came.answer,
    },
    retryAfterMs: came.retryAfterMs ?? null,
  });
  // One for each: a pooled connection would outlive a change of the settings that allowed it.
  const dispatcher = createGuardedDispatcher(policy, {
    connectTimeoutMs: answerWithinMs,
    headersTimeoutMs: answerWithinMs,
    bodyTimeoutMs: answerWithinMs,
    connections: 1,
  });
  return await withinTime(signal, answerWithinMs, async (limit) => {
    try {
      const request = { method: 'POST', headers: { 'user-agent': 'kOS', ...headers }, body, signal: limit.signal, redirects: 0 };
      const { response } = await guardedRequest(new URL(url), request, policy, dispatcher);
      const read = await readBody(response, answerBytes);
      const answer = scrubber.text((read.truncated ? scrubber.cutBody(read.body) : read.body).toString('utf8'));
      const location = response.headers.get('location');
      const led = location === null ? '' : ` and leads to ${URL.parse(location, url)?.origin ?? 'nowhere'}: redirects are not followed`;
      const error = response.ok ? null : `It answered ${response.status}${led}.`;
      return done({ status: response.status, error, answer, retryAfterMs: retryAfterMs(response.headers.get('retry-after'), Date.now()) });
    } catch (error) {
      if (signal.aborted) throw error;
      if (limit.passed) return done({ status: null, error: `It did not answer within ${answerWithinMs / 1_000} s.`, answer: '' });
      const refusal = refusalInside(error);
      if (refusal !== null) return done({ status: null, error: `${refusal.message}.`, fix: refusal.fix, answer: '' });
      return done({
        status: null,
        error: scrubber.text(`It could not be reached (${innermostCode(error) ?? (error instanceof Error ? error.message : String(error))}).`),
        answer: '',
      });
    } finally {
      await dispatcher.destroy();
    }
  });
}
