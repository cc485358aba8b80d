import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterAttempt, type Tried } from './next-attempt.ts';

const hour = 3_600_000;
const tried = (status: number | null, retryAfterMs: number | null = null): Tried => ({ status, retryAfterMs });
const at = { attempts: 1, startedMs: 0, nowMs: 0, random: 0.5 };

/** Tries until it is over; the instants of the tries. */
function triesUntilDead(random: () => number, retryAfterMs: number | null = null): number[] {
  const instants = [0];
  for (let nowMs = 0; ; ) {
    const verdict = afterAttempt(tried(500, retryAfterMs), { attempts: instants.length, startedMs: 0, nowMs, random: random() });
    if (verdict.is !== 'again') return instants;
    nowMs += verdict.inMs;
    instants.push(nowMs);
  }
}

describe('after a try to deliver', () => {
  it('2xx is a delivery, 410 is the end of all, everything else is tried again', () => {
    expect([200, 204, 299].map((status) => afterAttempt(tried(status), at).is)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(afterAttempt(tried(410), at)).toEqual({ is: 'gone' });
    expect([null, 301, 400, 404, 429, 500].map((status) => afterAttempt(tried(status), at))).toEqual(Array(6).fill({ is: 'again', inMs: 2_000 }));
  });

  it('the receiver may ask for more time, and not for less', () => {
    expect(afterAttempt(tried(503, 60_000), at)).toEqual({ is: 'again', inMs: 60_000 });
    expect(afterAttempt(tried(503, 1), at)).toEqual({ is: 'again', inMs: 2_000 });
  });

  it('is tried for most of a day, never longer, ever more rarely, and not at the same instants', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (randoms) => {
        const instants = triesUntilDead(() => randoms.next().value ?? 0);
        expect(instants.length).toBeGreaterThanOrEqual(10);
        expect(instants.at(-1)).toBeGreaterThan(14 * hour);
        expect(instants.at(-1)).toBeLessThanOrEqual(24 * hour);
      }),
    );
    expect(triesUntilDead(() => 0.1)).not.toEqual(triesUntilDead(() => 0.9));
    expect(triesUntilDead(() => 0.5, hour).at(-1)).toBeLessThanOrEqual(24 * hour);
  });
});
