import { describe, expect, it } from 'vitest';
import type { PlanShape, StepShape } from '#schemas/shape.ts';
import type { RunEvent } from './apply-event.ts';
import { undoableSteps } from './compensation.ts';
import { type Command, currentRules, decide } from './decide.ts';
import { initialState, type RunState, restoreState } from './state.ts';

const step = (needs: number[], undoMs?: number): StepShape => ({
  kind: 'tool',
  needs,
  timeoutMs: 1_000,
  ...(undoMs === undefined ? {} : { undo: { timeoutMs: undoMs } }),
});
const shapeOf = (...steps: StepShape[]): PlanShape => ({ steps, units: steps.map((_, index) => [index]), maxInFlight: 100, timeoutMs: null });

const shape = shapeOf(step([], 3_000), step([0], 7_000), step([1]));

/** A run that is fed with events, and what it is told to do. */
class Run {
  state: RunState;
  nowMs = 0;
  wakeAtMs: number | null = null;

  constructor(state: RunState) {
    this.state = state;
  }

  tell(events: RunEvent[], { hold = false, of = shape }: { hold?: boolean; of?: PlanShape } = {}): Command[] {
    const decision = decide(currentRules, of, this.state, events, this.nowMs, hold);
    this.state = decision.state;
    this.wakeAtMs = decision.wakeAtMs;
    return decision.commands;
  }
}

const ended = (unit: number, outcomes: string): RunEvent => ({ what: 'unit', unit, result: { outcomes } });
const control = (version: number, more: { paused?: boolean; cancelRequested?: boolean } = {}): RunEvent => ({
  what: 'control',
  control: { cancelRequested: false, version, paused: false, ...more },
});
const undo = { do: 'undo', ending: 'failed', timeoutMs: 7_000 };

/** Its last step has failed. */
function failed(): Run {
  const run = new Run(initialState(shape, null, currentRules));
  run.tell([]);
  run.tell([ended(0, 's')]);
  run.tell([ended(1, 's')]);
  expect(run.tell([ended(2, 'f')])).toEqual([undo]);
  return run;
}

describe('a run that ends otherwise than well', () => {
  it('undoes before it closes', () => {
    const run = failed();
    expect(run.tell([{ what: 'tick' }])).toEqual([]);
    expect(run.tell([{ what: 'undone', result: { done: true } }])).toEqual([{ do: 'close', ending: 'failed' }]);
  });

  it('waits for what still works', () => {
    const two = shapeOf(step([], 1_000), step([]));
    const run = new Run(initialState(two, null, currentRules));
    run.tell([], { of: two });
    expect(run.tell([ended(1, 'f')], { of: two })).toEqual([]);
    expect(run.tell([ended(0, 's')], { of: two })).toEqual([{ do: 'undo', ending: 'failed', timeoutMs: 1_000 }]);
  });

  it('closes at once where its plan undoes nothing, or where it has succeeded', () => {
    const bare = shapeOf(step([]));
    const run = new Run(initialState(bare, null, currentRules));
    run.tell([], { of: bare });
    expect(run.tell([ended(0, 'f')], { of: bare })).toEqual([{ do: 'close', ending: 'failed' }]);
    const fine = new Run(initialState(shape, null, currentRules));
    fine.tell([]);
    fine.tell([ended(0, 's')]);
    fine.tell([ended(1, 's')]);
    expect(fine.tell([ended(2, 's')])).toEqual([{ do: 'close', ending: null }]);
  });

  it('goes on at the instant of the next attempt', () => {
    const run = failed();
    expect(run.tell([{ what: 'undone', result: { retryInMs: 500 } }])).toEqual([]);
    expect(run.wakeAtMs).toBe(500);
    run.nowMs = 500;
    expect(run.tell([{ what: 'tick' }])).toEqual([undo]);
  });

  it('is not stopped by its deadline', () => {
    const run = new Run(initialState(shape, 1_000, currentRules));
    run.tell([]);
    run.tell([ended(0, 's')]);
    run.tell([ended(1, 'f')]);
    run.nowMs = 2_000;
    expect(run.tell([{ what: 'tick' }])).toEqual([]);
    expect(run.tell([{ what: 'undone', result: { done: true } }])).toEqual([{ do: 'close', ending: 'failed' }]);
  });

  it('ends as cancelled when it is cancelled meanwhile, and goes on undoing', () => {
    const run = failed();
    expect(run.tell([control(0, { cancelRequested: true })])).toEqual([{ do: 'cancelWork' }]);
    expect(run.tell([{ what: 'undone', result: { retryInMs: 0 } }])).toEqual([{ ...undo, ending: 'cancelled' }]);
    expect(run.tell([{ what: 'undone', result: { done: true } }])).toEqual([{ do: 'close', ending: 'cancelled' }]);
  });

  it('waits for a person, and looks again when something is decided, though that was before its answer came', () => {
    const run = failed();
    expect(run.tell([{ what: 'undone', result: { waits: true } }])).toEqual([]);
    expect(run.wakeAtMs).toBeNull();
    expect(run.tell([control(1)])).toEqual([undo]);
    expect(run.tell([control(2)])).toEqual([]);
    expect(run.tell([{ what: 'undone', result: { waits: true } }])).toEqual([undo]);
  });

  it('rests while it is paused', () => {
    const run = failed();
    expect(run.tell([{ what: 'undone', result: { heldAt: 3 } }])).toEqual([]);
    expect(run.wakeAtMs).toBeNull();
    expect(run.tell([control(4)])).toEqual([undo]);
  });

  it('begins to undo while its generation drains, so that its row says so, and goes on in the next one', () => {
    const run = new Run(initialState(shape, null, currentRules));
    run.tell([]);
    expect(run.tell([ended(0, 'f')], { hold: true })).toEqual([undo]);
    expect(run.tell([{ what: 'undone', result: { retryInMs: 0 } }], { hold: true })).toEqual([]);
    const stored = { outcomes: 'ccf', retrying: [], waits: [], items: [], cancelRequested: false, endsInMs: -5, ending: 'failed' as const };
    const next = new Run(restoreState(shape, stored, 0, currentRules));
    expect(next.tell([])).toEqual([undo]);
  });
});

describe('the steps that have an undo', () => {
  it('stand in an order in which they could have run', () => {
    expect(undoableSteps(shapeOf(step([2], 1), step([], 1), step([1], 1), step([]), step([0], 1)))).toEqual([1, 2, 0, 4]);
  });

  it('are found in a chain of any length', () => {
    const long = shapeOf(...Array.from({ length: 2_000 }, (_, index) => step(index === 1_999 ? [] : [index + 1], 1)));
    expect(undoableSteps(long)).toEqual(Array.from({ length: 2_000 }, (_, index) => 1_999 - index));
  });
});
