import { batchOf, capacityOf, type RateLimit } from '#core/policy/rates.ts';
import type { SystemDatabase } from '#services/database/connect.ts';

/** What is left of the limit that is nearest to its end. */
export interface RateStanding {
  name: string;
  remaining: number;
  /** Until the bucket is full again. */
  resetSeconds: number;
}

export type RateVerdict = { allowed: true; standing: RateStanding | null } | { allowed: false; standing: RateStanding; retryAfterSeconds: number };

export interface RateLimiter {
  /** One request of `who` (a credential or an address) under all of these limits. Rejects when the database does not answer. */
  take(who: string, limits: readonly RateLimit[]): Promise<RateVerdict>;
  /** Whether it would be refused, as far as this process knows without asking. */
  refusedForSeconds(who: string, limits: readonly RateLimit[]): number;
}

/** What this process has drawn from a bucket and not given out yet. */
interface Allowance {
  tokens: number;
  /** In the bucket itself, when it was last asked. */
  remaining: number;
  drawnAt: number;
  refusedUntil: number;
  drawing: Promise<void> | null;
}

const mostKnown = 20_000;

/**
 * Token buckets in Postgres, from which each process draws in batches: replicas agree to within a batch, and most requests ask nobody.
 * What was drawn is good for one window; by then the bucket has refilled by as much.
 */
export function createRateLimiter(dependencies: { system: SystemDatabase; now: () => number }): RateLimiter {
  const { system, now } = dependencies;
  const allowances = new Map<string, Allowance>();

  const allowanceOf = (bucket: string): Allowance => {
    const known = allowances.get(bucket);
    if (known !== undefined) return known;
    if (allowances.size >= mostKnown) allowances.clear();
    const fresh = { tokens: 0, remaining: 0, drawnAt: 0, refusedUntil: 0, drawing: null };
    allowances.set(bucket, fresh);
    return fresh;
  };

  const draw = async (bucket: string, limit: RateLimit, allowance: Allowance): Promise<void> => {
    const perSecond = limit.limit / limit.windowSeconds;
    const [row] = await system.sql<{ granted: number; remaining: number }[]>`
      select granted, remaining from kos.draw_tokens(${bucket}, ${capacityOf(limit)}::float8, ${perSecond}::float8, ${batchOf(limit)}::float8)`;
    if (row === undefined) throw new Error('The database drew no tokens.');
    const kept = isStale(allowance, limit, now()) ? 0 : allowance.tokens;
    allowance.tokens = kept + row.granted;
    allowance.remaining = row.remaining;
    allowance.drawnAt = now();
    if (allowance.tokens < 1) allowance.refusedUntil = now() + ((1 - row.remaining) / perSecond) * 1_000;
  };

  const drawing = (bucket: string, limit: RateLimit, allowance: Allowance): Promise<void> => {
    allowance.drawing ??= draw(bucket, limit, allowance).finally(() => {
      allowance.drawing = null;
    });
    return allowance.drawing;
  };

  /** Before the last is given out, so that none of many requests waits for the database. Whoever finds none left draws again, and hears what fails. */
  const drawAhead = (bucket: string, limit: RateLimit, allowance: Allowance): void => {
    if (allowance.tokens >= batchOf(limit) / 2 || allowance.tokens < 1) return;
    drawing(bucket, limit, allowance).catch(() => undefined);
  };

  const takeOne = async (bucket: string, limit: RateLimit): Promise<boolean> => {
    const allowance = allowanceOf(bucket);
    // Others may take what a draw brought before this one gets to it: then it draws again.
    for (;;) {
      if (allowance.tokens >= 1 && !isStale(allowance, limit, now())) {
        allowance.tokens -= 1;
        drawAhead(bucket, limit, allowance);
        return true;
      }
      if (now() < allowance.refusedUntil) return false;
      await drawing(bucket, limit, allowance);
    }
  };

  const standingOf = (bucket: string, limit: RateLimit): RateStanding => {
    const { tokens, remaining } = allowanceOf(bucket);
    const left = Math.floor(tokens + remaining);
    return { name: limit.name, remaining: left, resetSeconds: Math.ceil(((capacityOf(limit) - left) * limit.windowSeconds) / limit.limit) };
  };

  return {
    async take(who, limits) {
      const taken: string[] = [];
      let nearest: RateStanding | null = null;
      for (const limit of limits) {
        const bucket = `${limit.name} ${who}`;
        const isAllowed = await takeOne(bucket, limit);
        const standing = standingOf(bucket, limit);
        if (!isAllowed) {
          // What another limit refuses costs nothing here.
          for (const other of taken) allowanceOf(other).tokens += 1;
          return { allowed: false, standing, retryAfterSeconds: secondsUntil(allowanceOf(bucket).refusedUntil, now()) };
        }
        taken.push(bucket);
        if (nearest === null || standing.remaining < nearest.remaining) nearest = standing;
      }
      return { allowed: true, standing: nearest };
    },

    refusedForSeconds: (who, limits) => Math.max(0, ...limits.map((limit) => secondsUntil(allowances.get(`${limit.name} ${who}`)?.refusedUntil ?? 0, now()))),
  };
}

const isStale = ({ drawnAt }: Allowance, { windowSeconds }: RateLimit, now: number): boolean => now - drawnAt > windowSeconds * 1_000;

const secondsUntil = (instant: number, now: number): number => Math.max(0, Math.ceil((instant - now) / 1_000));
