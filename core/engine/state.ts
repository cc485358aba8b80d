import type { PlanShape } from '#schemas/shape.ts';
import { type Control, noControl } from './control.ts';
import { type ItemsState, openItems, type WaitingItem } from './items.ts';
import { endingOf, type ItemRange, isOutcome, type Outcome } from './outcome.ts';
import type { Undoing } from './undoing.ts';

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
  /** Its effect may have happened: it holds what depends on it, and the run's end, until a person has said. From rules 2 on; before, it failed the run. */
  | { status: 'uncertain' }
  | { status: 'ended'; outcome: Outcome };

/** Why a run ends otherwise than by having done everything. */
export type Ending = 'failed' | 'cancelled' | 'timed_out';

export interface RunState {
  steps: readonly StepState[];
  /** Why nothing new may start; null: the run goes on. A deadline outranks a failure, a cancel both. */
  ending: Ending | null;
  /** The ending that what still works was told of; null: none. */
  told: Ending | null;
  /** The closing activity is in flight. */
  closing: boolean;
  closed: boolean;
  /** Decisions that arrived before the wait they settle was known here. */
  earlyDecisions: readonly string[];
  /** Instant by which the run must have ended; null: none. */
  deadlineMs: number | null;
  /** What the database last heard of the run's waiting. */
  knownWaiting: boolean;
  control: Control;
  rules: number;
  /** Version of the control that open windows were told of. */
  toldWindows: number;
  /** Absent: it has not begun to undo anything. */
  undoing?: Undoing | undefined;
}

export function initialState(shape: PlanShape, deadlineMs: number | null, rules = 1): RunState {
  return {
    rules,
    steps: shape.steps.map(() => ({ status: 'pending' })),
    ending: null,
    told: null,
    closing: false,
    closed: false,
    earlyDecisions: [],
    deadlineMs,
    knownWaiting: false,
    control: noControl,
    toldWindows: noControl.version,
  };
}

/**
 * What Postgres holds of a run, enough to go on from it: every generation after the first starts here. What is left of a time is a duration by
 * the database's clock (ms), for Temporal's may differ.
 */
export interface StoredProgress {
  /** One letter per step: an outcome, or `.` when it has not ended. */
  outcomes: string;
  retrying: { step: number; item: number | null; inMs: number }[];
  /** `item`: of an open `forEach` without windows. */
  waits: { step: number; item?: number | null; waitId: string; endsInMs: number | null }[];
  /** Open `forEach` steps: items not ended (inclusive ranges), those to be tried again excluded. */
  items: { step: number; count: number; unfinished: ItemRange[]; failed: boolean }[];
  /** Windows of this chain that are still open, by their first item: known from the previous generation only. */
  windows?: { step: number; from: number; to: number }[];
  cancelRequested: boolean;
  /** Absent in what earlier releases read. */
  control?: Control;
  /** Null: no deadline. */
  endsInMs: number | null;
  /** The run undoes what it did, since it ends so; absent: it does not. */
  ending?: Ending;
}

export function restoreState(shape: PlanShape, stored: StoredProgress, nowMs: number, rules = 1): RunState {
  const steps: StepState[] = shape.steps.map((_, step) => {
    const letter = stored.outcomes[step] ?? '.';
    return isOutcome(letter) ? stateOfOutcome(rules, letter) : { status: 'pending' };
  });
  for (const wait of stored.waits) {
    if ((wait.item ?? null) === null) steps[wait.step] = { status: 'waiting', waitId: wait.waitId, untilMs: instantOf(wait.endsInMs, nowMs) };
  }
  for (const open of stored.items) {
    const concurrency = shape.steps[open.step]?.forEach?.concurrency ?? 1;
    const retrying = stored.retrying
      .filter((entry) => entry.step === open.step && entry.item !== null)
      .map((entry) => ({ item: entry.item ?? 0, atMs: nowMs + entry.inMs }));
    const waiting = waitingItemsOf(stored, open.step, nowMs);
    const windows = (stored.windows ?? []).filter((window) => window.step === open.step).map(({ from, to }): ItemRange => [from, to]);
    steps[open.step] = {
      status: 'items',
      items: openItems({
        count: open.count,
        unfinished: open.unfinished,
        retrying,
        waiting,
        concurrency,
        windows,
        failed: open.failed,
        contained: shape.steps[open.step]?.forEach?.contained,
      }),
    };
  }
  for (const entry of stored.retrying) {
    if (entry.item === null) steps[entry.step] = { status: 'retrying', atMs: nowMs + entry.inMs };
  }
  const endings = steps.map(endingOfStep);
  return {
    rules,
    steps,
    ending: stored.cancelRequested
      ? 'cancelled'
      : (stored.ending ?? (endings.includes('cancelled') ? 'cancelled' : endings.includes('failed') ? 'failed' : null)),
    told: null,
    closing: false,
    closed: false,
    earlyDecisions: [],
    deadlineMs: instantOf(stored.endsInMs, nowMs),
    knownWaiting: false,
    control: stored.control ?? noControl,
    toldWindows: noControl.version,
    ...(stored.ending === undefined ? {} : { undoing: { status: 'due' as const } }),
  };
}

const waitingItemsOf = ({ waits }: StoredProgress, step: number, nowMs: number): WaitingItem[] =>
  waits.flatMap((wait): WaitingItem[] => {
    const item = wait.step === step ? (wait.item ?? null) : null;
    return item === null ? [] : [{ item, waitId: wait.waitId, untilMs: instantOf(wait.endsInMs, nowMs) }];
  });

export const instantOf = (inMs: number | null, nowMs: number): number | null => (inMs === null ? null : nowMs + inMs);

export const holdsUncertain = (rules: number): boolean => rules >= 2;

export const stateOfOutcome = (rules: number, outcome: Outcome): StepState =>
  outcome === 'u' && holdsUncertain(rules) ? { status: 'uncertain' } : { status: 'ended', outcome };

/** What one step says of the whole run; null: nothing. */
export function endingOfStep(state: StepState): Ending | null {
  if (state.status === 'ended') return endingOf(state.outcome);
  return state.status === 'items' && state.items.failed && state.items.contained !== true ? 'failed' : null;
}
