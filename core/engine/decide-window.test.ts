import { noControl } from './control.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWindow, type WindowEvent, type WindowState } from './decide-window.ts';

const windowOf = (count: number, concurrency: number): WindowState => ({
  items: { count, concurrency, unstarted: count === 0 ? [] : [[500, 500 + count - 1]], inFlight: [], retrying: [], waiting: [], windows: null, failed: false },
  stopped: false,
  superseded: false,
  control: noControl,
  maxInFlight: concurrency,
  earlyDecisions: [],
  knownWaiting: false,
  rules: 2,
  quick: false,
});
const ended = (item: number, outcomes: string): WindowEvent => ({ what: 'item', item, result: { outcomes } });

describe('a window', () => {
  it('starts each of its items once, 50 at once at most, and is over when all have ended', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 7 }), (count, concurrency, batch) => {
        let decision = decideWindow(windowOf(count, concurrency), [], 0, false);
        const started = [...decision.start];
        while (!decision.over) {
          const back = decision.state.items.inFlight.slice(0, batch).map((item) => ended(item, 's'));
          decision = decideWindow(decision.state, back, 0, false);
          expect(decision.start.length).toBeLessThanOrEqual(50);
          expect(decision.state.items.inFlight.length).toBeLessThanOrEqual(concurrency);
          started.push(...decision.start);
        }
        expect(started).toEqual(Array.from({ length: count }, (_, index) => 500 + index));
      }),
      { numRuns: 50 },
    );
  });

  it('starts nothing while it drains, and does not ask to be woken for what is due', () => {
    const first = decideWindow(windowOf(10, 2), [], 0, false);
    const retry: WindowEvent = { what: 'item', item: 500, result: { outcomes: '', retryInMs: 5 } };
    const draining = decideWindow(first.state, [retry], 0, true);
    expect(draining).toMatchObject({ start: [], wakeAtMs: 5, over: false });
    expect(decideWindow(draining.state, [{ what: 'tick' }], 5, true)).toMatchObject({ start: [], wakeAtMs: null });
    expect(decideWindow(draining.state, [{ what: 'tick' }], 5, false).start).toEqual([500]);
  });

  it.each<{ why: string; event: WindowEvent }>([
    { why: 'it is told to stop', event: { what: 'stop' } },
    { why: 'an item was cancelled', event: ended(500, 'c') },
    { why: 'its run belongs to another chain', event: { what: 'item', item: 500, result: { outcomes: '', superseded: true } } },
    { why: 'an item failed', event: ended(500, 'f') },
  ])('lets what runs finish and ends when $why', ({ event }) => {
    const first = decideWindow(windowOf(10, 2), [], 0, false);
    const stopping = decideWindow(first.state, [event], 0, false);
    expect(stopping.start).toEqual([]);
    const rest = stopping.state.items.inFlight.map((item) => ended(item, 's'));
    expect(decideWindow(stopping.state, rest, 0, false)).toMatchObject({ start: [], over: true });
  });
});

describe('a window of quick items', () => {
  const quickOf = (count: number): WindowState => ({ ...windowOf(count, 4), rules: 3, quick: true });

  it('does them in batches, one at a time, and tries again one by one', () => {
    const first = decideWindow(quickOf(300), [], 0, false);
    expect(first).toMatchObject({ batch: [500, 699], start: [] });
    const retry: WindowEvent = { what: 'batch', from: 500, to: 699, result: { outcomes: `.${'s'.repeat(199)}`, retries: [{ position: 0, inMs: 5 }] } };
    const second = decideWindow(first.state, [retry], 0, false);
    expect(second).toMatchObject({ batch: [700, 799], start: [], wakeAtMs: 5, over: false });
    const third = decideWindow(second.state, [{ what: 'tick' }], 5, false);
    expect(third).toMatchObject({ batch: null, start: [500] });
    const last: WindowEvent = { what: 'batch', from: 700, to: 799, result: { outcomes: 's'.repeat(100) } };
    expect(decideWindow(third.state, [last, ended(500, 's')], 5, false)).toMatchObject({ batch: null, start: [], over: true });
  });

  it('starts what a batch had no time for one by one', () => {
    const first = decideWindow(quickOf(10), [], 0, false);
    const cut: WindowEvent = { what: 'batch', from: 500, to: 509, result: { outcomes: 'sss' } };
    expect(decideWindow(first.state, [cut], 0, false)).toMatchObject({ batch: null, start: [503, 504, 505, 506] });
  });

  it('gives the one that takes long an activity of its own, and goes on with the others', () => {
    const first = decideWindow(quickOf(10), [], 0, false);
    const cut: WindowEvent = { what: 'batch', from: 500, to: 509, result: { outcomes: 'ssssss', cut: true } };
    expect(decideWindow(first.state, [cut], 0, false)).toMatchObject({ batch: [507, 509], start: [506] });
    const late: WindowEvent = { what: 'batch', from: 500, to: 509, result: { outcomes: 'ssssss' } };
    expect(decideWindow(first.state, [late], 0, false)).toMatchObject({ batch: [506, 509], start: [] });
  });

  it('goes on with a batch when a pause that it met has ended', () => {
    const first = decideWindow(quickOf(10), [], 0, false);
    const held: WindowEvent = { what: 'batch', from: 500, to: 509, result: { outcomes: 'sss', heldAt: 2 } };
    const paused = decideWindow(first.state, [held], 0, false);
    expect(paused).toMatchObject({ batch: null, start: [], over: false });
    const resumed: WindowEvent = { what: 'control', control: { version: 3, paused: false } };
    expect(decideWindow(paused.state, [resumed], 0, false)).toMatchObject({ batch: [503, 509] });
  });
});

it('what a window had no room for in one decision begins with the next, at once, from rules 3 on', () => {
  const full = (rules: number) => decideWindow({ ...windowOf(80, 80), rules }, [], 7, false);
  expect(full(3)).toMatchObject({ wakeAtMs: 8 });
  expect(full(2)).toMatchObject({ wakeAtMs: null });
  const next = decideWindow(full(3).state, [{ what: 'tick' }], 8, false);
  expect([full(3).start.length, next.start.length, next.wakeAtMs]).toEqual([50, 30, null]);
});

describe('a window of items that wait', () => {
  it('opens a few at once, says when only waits are left, and looks at what is decided', () => {
    const start: WindowState = { ...windowOf(4, 3), maxInFlight: 2 };
    const first = decideWindow(start, [], 0, false);
    expect(first.start).toEqual([500, 501]);
    const open = (item: number): WindowEvent => ({ what: 'waitOpened', item, result: { waitId: `w${item}`, endsInMs: null } });
    const second = decideWindow(first.state, [open(500), open(501)], 0, false);
    expect(second).toMatchObject({ start: [502], markWaiting: false });
    const third = decideWindow(second.state, [open(502)], 0, false);
    expect(third).toMatchObject({ start: [], settle: [], markWaiting: true, over: false });
    const fourth = decideWindow(third.state, [{ what: 'decision', waitId: 'w501' }], 0, false);
    expect(fourth.settle.map(({ item }) => item)).toEqual([501]);
    const fifth = decideWindow(fourth.state, [{ what: 'waitSettled', item: 501, result: { outcome: 's' } }], 0, false);
    expect(fifth.start).toEqual([503]);
  });
});
