import type { PlanShape } from '#schemas/shape.ts';
import type { UndoingFacts } from './explain-undoing.ts';
import type { Outcome } from './outcome.ts';

/** What an open approval still needs. */
export interface ApprovalFacts {
  from: string;
  required: number;
  approvedBy: number;
  fourEyes: boolean;
  claimedBy: string | null;
  claimedUntil: string | null;
}

/** One step's row, its items summed up. */
export interface StepFacts {
  path: string;
  status: string;
  /** Null: the step has not ended. */
  outcome: Outcome | null;
  attempt: number;
  startedAt: string | null;
  /** Absent or null: it has not ended. */
  finishedAt?: string | null;
  waitingFor: { kind: string; ref: string | null; until: string | null; text: string } | null;
  /** Of a step that waits for a decision. */
  approval?: ApprovalFacts | null;
  /** Of one that waits for a signal: the payload must fit a schema. */
  typed?: boolean;
  /** Of a `forEach`: effects that a person must resolve. */
  uncertainItems?: number;
  /** Of a `forEach` that has opened. */
  items: ItemsFacts | null;
  /** Of a step that repeats: the round it is at. Absent or null: it does not, or its first has not begun. */
  round?: RoundFacts | null;
}

export interface ItemsFacts {
  count: number;
  ended: number;
  running: number;
  retrying: number;
  waiting: number;
  failed: number;
  /** When the first of those that failed is tried again; absent or null: none is. */
  nextAt?: string | null;
}

export interface RoundFacts {
  path: string;
  iteration: number;
  attempt: number;
  startedAt: string | null;
}

/** An item that waits, or whose effect a person must resolve. */
export type WaitingItemFacts = Pick<StepFacts, 'path' | 'status' | 'startedAt' | 'waitingFor' | 'approval' | 'typed'> & {
  step: number;
  /** Path of the round for which it is uncertain; absent or null: it is so itself. */
  uncertainRound?: string | null;
};

/** What is known of a run and of the parts that move it. */
export interface RunFactsForExplain {
  runId: string;
  status: string;
  final: boolean;
  createdAt: string;
  /** Absent or null: it has not begun. */
  startedAt?: string | null;
  /** When it must have ended. Absent or null: it has no deadline. */
  deadlineAt?: string | null;
  waitingFor: { kind: string; ref: string | null; until: string | null; text: string } | null;
  /** Of a run that nobody has begun: its turn, or its time, also while it is paused. Absent or null: its start is on its way. */
  waitsToStart?: RunFactsForExplain['waitingFor'];
  cancelRequestedAt: string | null;
  /** Null: it is not paused. */
  pausedAt: string | null;
  /** When the oldest event happened that no stream shows yet; null: all are shown. */
  unnumberedSince: string | null;
  /** The database's clock. */
  now: string;
  shape: PlanShape;
  /** Ids of the plan's steps, by number. */
  stepIds: string[];
  /** By number; a step without a row has not begun. */
  steps: (StepFacts | undefined)[];
  /** Items that wait or are uncertain, the longest first; of many not all. */
  waitingItems: WaitingItemFacts[];
  /** Workers that poll; null: Temporal does not answer. */
  pollers: number | null;
  execution: 'running' | 'closed' | 'missing' | 'unreachable';
  /** Attempts of the pending workflow task: above 1 it fails. */
  workflowTaskAttempt: number;
  /** The most attempts that a pending activity has had: what a step comes to is no failure of its activity, a lost worker or a fault is. */
  activityAttempt: number;
  /** The order to start that Temporal has not taken yet. */
  pendingStart: { since: string; lastError: string | null } | null;
  /** Null or absent: it does not undo what it did. */
  undoing?: UndoingFacts | null;
}
