import type { PlanShape } from '#schemas/shape.ts';
import { type ItemsState, openItems } from './items.ts';
import { type ItemRange, isOutcome, type Outcome, stopsTheRun } from './outcome.ts';

/** One step as its run's workflow knows it. Plain JSON. */
export type StepState =
  | { status: 'pending' }
  /** Its unit, or the activity that opens its items or its wait, is in flight. */
  | { status: 'working' }
  | { status: 'retrying'; atMs: number }
  | { status: 'items'; items: ItemsState }
  | { status: 'joining' }
  | { status: 'waiting'; waitId: string; untilMs: number | null }
  | { status: 'settling'; waitId: string }
  /** Its row is being written; then it has ended as skipped. */
  | { status: 'skipping' }
  | { status: 'ended'; outcome: Outcome };

export type Ending = 'failed' | 'cancelled' | 'timed_out';

export interface RunState {
  steps: readonly StepState[];
  /** Why nothing new may start; null: the run goes on. The first reason stays, but a cancel outranks a failure. */
  ending: Ending | null;
  /** The closing activity is in flight. */
  closing: boolean;
  closed: boolean;
  /** Decisions that arrived before the wait they settle was known here. */
  earlyDecisions: readonly string[];
  /** Instant by which the run must have ended; null: none. */
  deadlineMs: number | null;
  /** What the database last heard of the run's waiting. */
  knownWaiting: boolean;
}

export function initialState(shape: PlanShape, deadlineMs: number | null): RunState {
  return { steps: shape.steps.map(() => ({ status: 'pending' })), ending: null, closing: false, closed: false, earlyDecisions: [], deadlineMs, knownWaiting: false };
}

/** What Postgres holds of a run, enough to go on from it: every generation after the first starts here. */
export interface StoredProgress {
  /** One letter per step: an outcome, or `.` when it has not ended. */
  outcomes: string;
  retrying: { step: number; item: number | null; atMs: number }[];
  waits: { step: number; waitId: string; untilMs: number | null }[];
  /** Open `forEach` steps: items not ended (inclusive ranges), those to be tried again excluded. */
  items: { step: number; count: number; unfinished: ItemRange[]; failed: boolean }[];
  /** Windows of this chain that are still open, by their first item: known from the previous generation only. */
  windows?: { step: number; from: number; to: number }[];
  cancelRequested: boolean;
  deadlineMs: number | null;
}

export function restoreState(shape: PlanShape, stored: StoredProgress): RunState {
  const steps: StepState[] = shape.steps.map((_, step) => {
    const letter = stored.outcomes[step] ?? '.';
    return isOutcome(letter) ? { status: 'ended', outcome: letter } : { status: 'pending' };
  });
  for (const wait of stored.waits) steps[wait.step] = { status: 'waiting', waitId: wait.waitId, untilMs: wait.untilMs };
  for (const open of stored.items) {
    const concurrency = shape.steps[open.step]?.forEach?.concurrency ?? 1;
    const retrying = stored.retrying.filter((entry) => entry.step === open.step && entry.item !== null).map((entry) => ({ item: entry.item ?? 0, atMs: entry.atMs }));
    const windows = (stored.windows ?? []).filter((window) => window.step === open.step).map(({ from, to }): ItemRange => [from, to]);
    steps[open.step] = { status: 'items', items: openItems({ count: open.count, unfinished: open.unfinished, retrying, concurrency, windows, failed: open.failed }) };
  }
  for (const entry of stored.retrying) {
    if (entry.item === null) steps[entry.step] = { status: 'retrying', atMs: entry.atMs };
  }
  const failed = steps.some((state) => state.status === 'ended' && stopsTheRun(state.outcome));
  return {
    steps,
    ending: stored.cancelRequested ? 'cancelled' : failed ? 'failed' : null,
    closing: false,
    closed: false,
    earlyDecisions: [],
    deadlineMs: stored.deadlineMs,
    knownWaiting: false,
  };
}
