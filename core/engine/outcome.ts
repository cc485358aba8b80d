/**
 * How a step ended, one letter so that a chain of 200 steps answers in 200 bytes:
 * s succeeded, k skipped, f failed, t failed but tolerated, u uncertain (an effect that may have happened), c cancelled.
 */
export type Outcome = 's' | 'k' | 'f' | 't' | 'u' | 'c';

/** What a unit answers to the workflow. Outcomes are those of its steps from the first unfinished one on, in order. */
export interface UnitResult {
  outcomes: string;
  /** The step after the last outcome failed and is to be tried again at this instant (ms since the epoch, the database's clock). */
  retryAtMs?: number;
  /** The run was closed in the same transaction. */
  closed?: boolean;
  /** Another claim, generation or final status holds the run: this workflow has nothing more to do. */
  superseded?: boolean;
}

export interface ItemsOpened {
  /** Ended without items (skipped, failed), or to be tried again. */
  outcome?: Outcome;
  retryAtMs?: number;
  count?: number;
  superseded?: boolean;
}

export interface ItemsJoined extends UnitResult {
  /** Items that have not ended after all: inclusive ranges to go on with. */
  unfinished?: ItemRange[];
}

export interface WaitOpened {
  outcome?: Outcome;
  retryAtMs?: number;
  waitId?: string;
  /** Null: it ends by a decision only. */
  untilMs?: number | null;
  superseded?: boolean;
}

/** Inclusive. */
export type ItemRange = readonly [from: number, to: number];

export const letsDependantsGoOn = (outcome: Outcome): boolean => outcome === 's' || outcome === 't';

export const stopsTheRun = (outcome: Outcome): boolean => outcome === 'f' || outcome === 'u';

export const isOutcome = (letter: string): letter is Outcome => letter.length === 1 && 'skftuc'.includes(letter);
