import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { currentRules } from './decide.ts';
import {
  cutRange,
  itemReturned,
  itemsSettled,
  itemsWakeAtMs,
  type ItemsState,
  openItems,
  divideIntoWindows,
  openWindowsAtMost,
  takeItems,
  takeWindow,
  windowReturned,
  windowSize,
} from './items.ts';
import type { ItemRange } from './outcome.ts';

const numbersOf = (ranges: readonly ItemRange[]): number[] => ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
const open = (count: number, concurrency: number): ItemsState =>
  openItems({ count, unfinished: count === 0 ? [] : [[0, count - 1]], retrying: [], waiting: [], concurrency, windows: [], failed: false });

const ascendingRanges = fc.uniqueArray(fc.nat(200), { maxLength: 40 }).map((numbers) => {
  const ranges: [number, number][] = [];
  for (const number of numbers.toSorted((one, other) => one - other)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
});

describe('ranges', () => {
  it('lose what is cut and nothing else', () => {
    fc.assert(
      fc.property(ascendingRanges, fc.nat(200), fc.nat(20), (ranges, from, length) => {
        const to = from + length;
        const expected = numbersOf(ranges).filter((number) => number < from || number > to);
        expect(numbersOf(cutRange(ranges, [from, to]))).toEqual(expected);
      }),
    );
  });
});

describe('items in one workflow', () => {
  it('are each started once, in order, never more than their concurrency at once', () => {
    fc.assert(
      fc.property(fc.nat(windowSize), fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(60), { minLength: 1, maxLength: 20 }), (count, concurrency, rooms) => {
        let state = open(count, concurrency);
        const started: number[] = [];
        for (let round = 0; !itemsSettled(state, false); round += 1) {
          const taken = takeItems(state, Math.max(1, rooms[round % rooms.length] ?? 1), 0);
          state = taken.state;
          started.push(...taken.items);
          expect(state.inFlight.length).toBeLessThanOrEqual(concurrency);
          const [first] = state.inFlight;
          if (first !== undefined) state = itemReturned(state, first, 's', null);
        }
        expect(started).toEqual(Array.from({ length: count }, (_, index) => index));
      }),
    );
  });

  it('that are due for another attempt go first, and wake nobody before', () => {
    let state = takeItems(open(5, 2), 10, 0).state;
    state = itemReturned(state, 0, null, 100);
    expect(itemsWakeAtMs(state, 50)).toBe(100);
    expect(itemsWakeAtMs(state, 100)).toBeNull();
    expect(takeItems(state, 10, 50).items).toEqual([2]);
    expect(takeItems(state, 10, 100).items).toEqual([0]);
  });

  it('start no more once one has failed', () => {
    const state = itemReturned(takeItems(open(5, 2), 10, 0).state, 0, 'f', null);
    expect(takeItems(state, 10, 0).items).toEqual([]);
    expect(itemsSettled(state, false)).toBe(false);
    expect(itemsSettled(itemReturned(state, 1, 's', null), false)).toBe(true);
  });

  it('that wait for another attempt when a generation begins are not taken twice', () => {
    const state = openItems({ count: 6, unfinished: [[1, 5]], retrying: [{ item: 3, atMs: 10 }], waiting: [], concurrency: 10, windows: [], failed: false });
    expect(takeItems(state, 10, 10).items).toEqual([3, 1, 2, 4, 5]);
  });
});

describe('items in windows', () => {
  it('are each in one window, at most eight windows and no more than the concurrency open at once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: windowSize + 1, max: 20_000 }),
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 500 }),
        fc.constantFrom(1, currentRules),
        (count, concurrency, maxInFlight, rules) => {
          let state = open(count, concurrency);
          const division = divideIntoWindows(rules, state, maxInFlight);
          const seen: ItemRange[] = [];
          while (!itemsSettled(state, false)) {
            for (let taken = takeWindow(state, division); taken.window !== null; taken = takeWindow(state, division)) {
              state = taken.state;
              seen.push(taken.window);
              expect((state.windows?.length ?? 0) * division.concurrency).toBeLessThanOrEqual(Math.min(concurrency, maxInFlight));
            }
            expect(state.windows?.length ?? 0).toBeLessThanOrEqual(openWindowsAtMost);
            expect(takeItems(state, 10, 0).items).toEqual([]);
            state = windowReturned(state, state.windows?.[0]?.[0] ?? 0, false);
          }
          expect(numbersOf(seen)).toEqual(Array.from({ length: count }, (_, index) => index));
          expect(seen.every(([from, to]) => to - from < windowSize)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('use the concurrency that the plan allows', () => {
    fc.assert(
      fc.property(fc.integer({ min: windowSize + 1, max: 100_000 }), fc.integer({ min: 1, max: 500 }), (count, concurrency) => {
        const { open: windows, concurrency: share, size } = divideIntoWindows(currentRules, { count, concurrency }, 500);
        const used = Math.min(windows, Math.ceil(count / size)) * share;
        // One window has all of it; more than one are taken only where they lose nothing.
        expect(used).toBe(concurrency);
      }),
    );
    expect(divideIntoWindows(currentRules, { count: 600, concurrency: 10 }, 100)).toMatchObject({ open: 5, concurrency: 2, size: 120 });
    expect(divideIntoWindows(1, { count: 600, concurrency: 10 }, 100)).toMatchObject({ open: 8, concurrency: 1, size: 500 });
  });

  it('that an earlier generation left open are not opened again', () => {
    const state = openItems({ count: 1_200, unfinished: [[100, 1_199]], retrying: [], waiting: [], concurrency: 2, windows: [[0, 499]], failed: false });
    expect(takeWindow(state, divideIntoWindows(1, state, 100)).window).toEqual([500, 999]);
    expect(takeWindow(state, divideIntoWindows(currentRules, state, 100)).window).toEqual([500, 999]);
  });
});

describe('a list with gaps', () => {
  it('is divided into windows that reach over them, as many as its length needs', () => {
    const pieces: [number, number][] = Array.from({ length: 300 }, (_, piece) => [piece * 4, piece * 4 + 1]);
    let state = openItems({ count: 1_200, unfinished: pieces, retrying: [], waiting: [], concurrency: 90, windows: [[400, 599]], failed: false });
    const division = divideIntoWindows(currentRules, state, 100);
    expect(division).toMatchObject({ open: 6, concurrency: 15, size: 200 });
    const windows = Array.from({ length: 6 }, () => {
      const taken = takeWindow(state, division);
      state = taken.state;
      return taken.window;
    });
    // One that is open already is not reached over.
    expect(windows).toEqual([[0, 197], [200, 397], [600, 797], [800, 997], [1_000, 1_197], null]);
  });

  it('never gives two windows the same item, and leaves none out', () => {
    const piece = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 }));
    fc.assert(
      fc.property(fc.array(piece, { minLength: 5, maxLength: 40 }), fc.integer({ min: 0, max: 900 }), (gaps, opened) => {
        let at = 0;
        const pieces = gaps.map(([gap, length]): ItemRange => {
          const from = at + gap;
          at = from + length;
          return [from, at - 1];
        });
        const count = Math.max(at, windowSize + 1);
        let state = openItems({ count, unfinished: pieces, retrying: [], waiting: [], concurrency: 8, windows: [[opened, opened + 49]], failed: false });
        const wanted = state.unstarted.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, offset) => from + offset));
        const seen: number[] = [];
        for (;;) {
          const taken = takeWindow({ ...state, windows: [[opened, opened + 49]] }, { ...divideIntoWindows(currentRules, state, 100), open: 2 });
          if (taken.window === null) break;
          const [from, to] = taken.window;
          expect(to < opened || from > opened + 49).toBe(true);
          seen.push(...wanted.filter((item) => item >= from && item <= to));
          state = taken.state;
        }
        expect(seen).toEqual(wanted);
      }),
    );
  });
});
