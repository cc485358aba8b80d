import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AttemptLost } from './failure.ts';
import { WorkUnderWay } from './work-under-way.ts';

/** Work that ends by hand, and counts how often it was begun. */
function makeWork() {
  const done = Promise.withResolvers<string>();
  const begun: AbortSignal[] = [];
  const start = (signal: AbortSignal): Promise<string> => {
    begun.push(signal);
    signal.addEventListener('abort', () => done.reject(signal.reason), { once: true });
    return done.promise;
  };
  return { start, begun, finish: () => done.resolve('done') };
}

describe('work under way', () => {
  it('is joined by the attempt that follows a lost one', async () => {
    const underWay = new WorkUnderWay();
    const work = makeWork();
    const first = new AbortController();
    const lost = underWay.join('key', first.signal, work.start);
    first.abort(new AttemptLost('NOT_FOUND', true));
    await expect(lost).rejects.toBeInstanceOf(AttemptLost);
    expect(underWay.has('key')).toBe(true);
    const second = underWay.join('key', new AbortController().signal, work.start);
    work.finish();
    expect(await second).toBe('done');
    expect(work.begun).toHaveLength(1);
    expect(work.begun[0]?.aborted).toBe(false);
    // What came of it stays until it is on record, for a third attempt.
    expect(await underWay.join('key', new AbortController().signal, work.start)).toBe('done');
    underWay.forget('key');
    expect(underWay.has('key')).toBe(false);
  });

  it.each([
    { why: 'the run is cancelled', reason: new Error('cancelled') },
    { why: 'the worker stops', reason: new AttemptLost('WORKER_SHUTDOWN', false) },
  ])('ends when $why', async ({ reason }) => {
    const underWay = new WorkUnderWay();
    const work = makeWork();
    const controller = new AbortController();
    const joined = underWay.join('key', controller.signal, work.start);
    controller.abort(reason);
    await expect(joined).rejects.toBe(reason);
    await sleep(0);
    expect(underWay.has('key')).toBe(false);
  });

  it('is begun again once its outcome is on record', async () => {
    const underWay = new WorkUnderWay();
    for (const expected of ['one', 'two']) {
      expect(await underWay.join('key', new AbortController().signal, async () => expected)).toBe(expected);
      underWay.forget('key');
    }
  });

  it('that fails tells everybody who waits', async () => {
    const underWay = new WorkUnderWay();
    const fail = async (): Promise<never> => {
      await sleep(5);
      throw new Error('no');
    };
    const both = await Promise.allSettled([underWay.join('key', new AbortController().signal, fail), underWay.join('key', new AbortController().signal, fail)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
