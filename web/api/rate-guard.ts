import type { Request, Response } from 'express';
import ipaddr from 'ipaddr.js';
import type { Logger } from 'pino';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { limitsOf, limitsOfAddress, type RateClass, type RateLimit, type RateTable, streamsAllowed } from '#core/policy/rates.ts';
import type { RateLimiter, RateVerdict } from '#services/rates/limiter.ts';

/** Keeps every caller within their limits, and tells them how they stand. */
export interface RateGuard {
  /** Public routes, by address. Throws KosError `rate_limited` (429), `rate_unknown` (503) for sign-in. */
  admitAddress(request: Request, response: Response, rateClass: RateClass): Promise<void>;
  /** Throws KosError `rate_limited` (429). */
  admitPrincipal(principal: Principal, response: Response, rateClass: RateClass): Promise<void>;
  /** Deliveries to a trigger, whatever address they come from. Throws KosError `rate_limited` (429). */
  admitDelivery(triggerId: string, response: Response): Promise<void>;
  /** Before a credential is looked at: an address that guesses is told to wait. Throws KosError `rate_limited` (429). */
  assertNotGuessing(request: Request): void;
  /** After a credential was refused. */
  countFailure(request: Request): Promise<void>;
  /** Throws KosError `streams_limited` (429). Returns what ends the count. */
  openStream(principal: Principal): () => void;
}

export function createRateGuard(dependencies: { limiter: RateLimiter; table: RateTable; log: Logger }): RateGuard {
  const { limiter, table, log } = dependencies;
  const streams = new Map<string, number>();

  const admit = async (who: string, limits: readonly RateLimit[], response: Response, refuseWhenUnknown: boolean): Promise<void> => {
    if (limits.length === 0) return;
    const verdict = await limiter.take(who, limits).catch((error: unknown) => {
      if (refuseWhenUnknown) throw unknown(error);
      log.warn({ error }, 'the rate limits could not be asked; the request passes');
      return null;
    });
    if (verdict === null) return;
    tell(response, limits, verdict);
    if (!verdict.allowed) throw limited(verdict.retryAfterSeconds);
  };

  return {
    admitAddress: (request, response, rateClass) => admit(addressOf(request), limitsOfAddress(table, rateClass), response, rateClass === 'sign-in'),

    admitPrincipal: (principal, response, rateClass) => admit(principal.credentialId, limitsOf(table, principal.via, rateClass), response, false),

    admitDelivery: (triggerId, response) => admit(triggerId, table.hook, response, false),

    assertNotGuessing(request) {
      const seconds = limiter.refusedForSeconds(addressOf(request), table.failedCredentials);
      if (seconds > 0) throw limited(seconds);
    },

    async countFailure(request) {
      const verdict = await limiter.take(addressOf(request), table.failedCredentials).catch((error: unknown) => {
        log.warn({ error }, 'a refused credential could not be counted');
        return null;
      });
      if (verdict?.allowed === false) throw limited(verdict.retryAfterSeconds);
    },

    openStream({ credentialId, via }) {
      const open = streams.get(credentialId) ?? 0;
      if (open >= streamsAllowed(table, via)) throw tooManyStreams(open);
      streams.set(credentialId, open + 1);
      return () => {
        const left = (streams.get(credentialId) ?? 1) - 1;
        if (left === 0) streams.delete(credentialId);
        else streams.set(credentialId, left);
      };
    },
  };
}

/** Of IPv6 the /64: one subscriber has all of it. Behind a proxy it is the client's only where the proxy is named (KOS_TRUSTED_PROXIES). */
export function addressOf(request: Pick<Request, 'ip'>): string {
  const text = request.ip ?? '';
  if (!ipaddr.isValid(text)) return 'unknown';
  const address = ipaddr.process(text);
  if (address.kind() === 'ipv4') return address.toString();
  return (address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':');
}

/** draft-ietf-httpapi-ratelimit-headers: every policy, and how the nearest one stands. */
function tell(response: Response, limits: readonly RateLimit[], verdict: RateVerdict): void {
  // A call within a stream is counted when the stream has begun.
  if (response.headersSent) return;
  response.set('RateLimit-Policy', limits.map(({ name, limit, windowSeconds }) => `"${name}";q=${limit};w=${windowSeconds}`).join(', '));
  if (verdict.standing !== null) response.set('RateLimit', `"${verdict.standing.name}";r=${verdict.standing.remaining};t=${verdict.standing.resetSeconds}`);
}

const limited = (retryAfterSeconds: number): KosError =>
  new KosError({
    code: 'rate_limited',
    message: 'Too many requests in too short a time.',
    fix: `Go on in ${retryAfterSeconds} s; the headers RateLimit and RateLimit-Policy tell how you stand.`,
    status: 429,
    retryable: true,
    extra: { retryAfterSeconds },
  });

const tooManyStreams = (open: number): KosError =>
  new KosError({
    code: 'streams_limited',
    message: `This credential has ${open} streams open, as many as it may.`,
    fix: 'Close one, or read several runs through one stream.',
    status: 429,
    retryable: true,
    extra: { retryAfterSeconds: 5 },
  });

/** Guessing must not become free when the count is away. */
const unknown = (cause: unknown): KosError =>
  new KosError({
    code: 'rate_unknown',
    message: 'Nobody can sign in right now: the database that counts attempts does not answer.',
    fix: 'Repeat it in a moment.',
    status: 503,
    retryable: true,
    cause,
  });
