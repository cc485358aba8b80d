/**
 * How a step ended, one letter so that a chain of 200 steps answers in 200 bytes:
 * s succeeded, k skipped, f failed, t failed but tolerated, u uncertain (an effect that may have happened), c cancelled.
 */
export type Outcome = 's' | 'k' | 'f' | 't' | 'u' | 'c';

/** What a unit answers to the workflow. Outcomes are those of its steps from the first unfinished one on, in order. */
export interface UnitResult {
  outcomes: string;
  /** The step after the last outcome failed and is to be tried again in so many ms. Durations, not instants: the database's clock and Temporal's may differ. */
  retryInMs?: number;
  /** The run was closed in the same transaction. */
  closed?: boolean;
  /** Another claim, generation or final status holds the run: this workflow has nothing more to do. */
  superseded?: boolean;
  /** The run is paused, as of this version of its control: what follows the last outcome was not begun. */
  heldAt?: number;
}

/** What a batch of items answers: a letter for each that was begun, in order, and `.` for one that is to be tried again. The others were not begun. */
export interface BatchResult extends Pick<UnitResult, 'outcomes' | 'superseded' | 'heldAt'> {
  /** In how many ms; by position in the batch. */
  retries?: { position: number; inMs: number }[];
  /** The item behind those took longer than a task of the workflow should. */
  cut?: true;
}

/** Of a step or an item that has not ended. */
export const notEnded = '.';

/** What came of steps that were to be skipped, since steps that they need were. */
export interface StepsSkipped {
  superseded: boolean;
  /** What is on record of each, by a letter; `.` where it is not to be skipped after all. Absent where an earlier release answered: all are skipped. */
  outcomes?: string;
  /** How needs ended for which they are not. */
  because?: { step: number; outcome: Outcome }[];
}

export interface ItemsOpened {
  /** Ended without items (skipped, failed), or to be tried again. */
  outcome?: Outcome;
  retryInMs?: number;
  count?: number;
  superseded?: boolean;
  heldAt?: number;
}

export interface ItemsJoined extends UnitResult {
  /** Items that have not ended after all: inclusive ranges to go on with. */
  unfinished?: ItemRange[];
}

export interface WaitOpened {
  outcome?: Outcome;
  /** It failed and is to be tried again in so many ms. */
  retryInMs?: number;
  waitId?: string;
  /** What is left of it by the database's clock, ms. Null: it ends by a decision only. */
  endsInMs?: number | null;
  superseded?: boolean;
  heldAt?: number;
}

/** Inclusive. */
export type ItemRange = readonly [from: number, to: number];

export const letsDependantsGoOn = (outcome: Outcome): boolean => outcome === 's' || outcome === 't';

/** A step that was cancelled tells of a cancel whose Signal has not arrived yet. */
export function endingOf(outcome: Outcome): 'failed' | 'cancelled' | null {
  if (outcome === 'c') return 'cancelled';
  return stopsTheRun(outcome) ? 'failed' : null;
}

export const stopsTheRun = (outcome: Outcome): boolean => outcome === 'f' || outcome === 'u';

export const isOutcome = (letter: string): letter is Outcome => letter.length === 1 && 'skftuc'.includes(letter);
