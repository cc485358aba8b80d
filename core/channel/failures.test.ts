import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterFailure, afterSuccess, digestAtMs, type FailedRun, noFailures, type PlanFailures, takeDigest } from './failures.ts';

const minute = 60_000;
const hour = 60 * minute;
const run = (number: number): FailedRun => ({ runId: `run_${number}`, eventId: `evt_${number}`, code: 'x', message: 'x', stepPath: null, at: '' });

type Happening = { afterMs: number; is: 'failed' | 'succeeded' | 'looked' };

/** Plays what happens; the instants at which people are told, and how many failures each tells of. */
function play(happenings: readonly Happening[]): { atMs: number; of: number; digest: boolean }[] {
  const told: { atMs: number; of: number; digest: boolean }[] = [];
  let state: PlanFailures = noFailures;
  let nowMs = 0;
  for (const [index, { afterMs, is }] of happenings.entries()) {
    nowMs += afterMs;
    if (is === 'failed') {
      const after = afterFailure(state, run(index), nowMs);
      ({ state } = after);
      if (after.tell) told.push({ atMs: nowMs, of: 1, digest: false });
    } else if (is === 'succeeded') state = afterSuccess(state);
    const due = takeDigest(state, nowMs);
    if (due === null) continue;
    ({ state } = due);
    told.push({ atMs: nowMs, of: due.digest.count, digest: true });
  }
  return told;
}

describe('failures of a plan', () => {
  it('are told at first, then in one digest an hour, and at first again after a success', () => {
    expect(
      play([
        { afterMs: 0, is: 'failed' },
        { afterMs: minute, is: 'failed' },
        { afterMs: minute, is: 'failed' },
        { afterMs: 57 * minute, is: 'looked' },
        { afterMs: minute, is: 'looked' },
        { afterMs: minute, is: 'failed' },
        { afterMs: minute, is: 'succeeded' },
        { afterMs: minute, is: 'failed' },
      ]),
    ).toEqual([
      { atMs: 0, of: 1, digest: false },
      { atMs: hour, of: 2, digest: true },
      { atMs: hour + 3 * minute, of: 1, digest: false },
    ]);
  });

  it('after an hour of silence are told at once, though it never succeeded', () => {
    expect(
      play([
        { afterMs: 0, is: 'failed' },
        { afterMs: 5 * hour, is: 'failed' },
      ]).map(({ atMs }) => atMs),
    ).toEqual([0, 5 * hour]);
  });

  it('are all told of in the end, digests an hour apart at least, with the ten newest by name', () => {
    const happening = fc.record({ afterMs: fc.nat(2 * hour), is: fc.constantFrom('failed' as const, 'succeeded' as const, 'looked' as const) });
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const told = play([...happenings, { afterMs: 2 * hour, is: 'looked' }]);
        expect(told.reduce((sum, { of }) => sum + of, 0)).toBe(happenings.filter(({ is }) => is === 'failed').length);
        const digests = told.filter(({ digest }) => digest);
        for (const [index, { atMs }] of digests.entries()) expect(atMs - (digests[index - 1]?.atMs ?? -hour)).toBeGreaterThanOrEqual(hour);
      }),
    );
    let state = afterFailure(noFailures, run(0), 0).state;
    for (let number = 1; number <= 15; number += 1) ({ state } = afterFailure(state, run(number), number));
    expect(digestAtMs(state)).toBe(hour);
    expect(takeDigest(state, hour)?.digest).toEqual({ count: 15, newest: Array.from({ length: 10 }, (_, index) => run(15 - index)) });
  });
});
