import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { withinTime } from './time-limit.ts';

const never = (signal: AbortSignal): Promise<never> => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
const forever = new AbortController().signal;

describe('work within a time limit', () => {
  test('that ends in time is answered, and its signal stays silent', async () => {
    const signals: AbortSignal[] = [];
    const answer = await withinTime(forever, 5, async (limit) => {
      signals.push(limit.signal);
      return limit.passed;
    });
    await sleep(20);
    expect(answer).toBe(false);
    expect(signals[0]?.aborted).toBe(false);
  });

  test('that takes longer is aborted by a TimeoutError', async () => {
    let passed = false;
    const work = withinTime(forever, 5, (limit) => never(limit.signal).finally(() => (passed = limit.passed)));
    await expect(work).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(passed).toBe(true);
  });

  test('that is stopped from outside ends for that reason, at once where it was stopped before', async () => {
    const outer = new AbortController();
    const reason = new Error('cancelled');
    const begun = withinTime(outer.signal, 60_000, (limit) => never(limit.signal));
    outer.abort(reason);
    await expect(begun).rejects.toBe(reason);
    const late = withinTime(outer.signal, 60_000, async (limit) => ({ reason: limit.signal.reason as unknown, passed: limit.passed }));
    await expect(late).resolves.toEqual({ reason, passed: false });
  });

  test('lets go of the outer signal when it is over', async () => {
    const outer = new AbortController();
    const signals: AbortSignal[] = [];
    await withinTime(outer.signal, 60_000, async (limit) => void signals.push(limit.signal));
    outer.abort();
    expect(signals[0]?.aborted).toBe(false);
  });
});
