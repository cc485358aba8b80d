import type { Claim } from '#core/engine/claim.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import type { RunFacts } from '#services/runs/ledger/header.ts';
import type { SeenRound } from '#services/runs/ledger/load-scope.ts';
import type { StepPlace, TakenStep } from '#services/runs/ledger/take-step.ts';
import { placeOf, placeOfRound, placeOfUndo } from './step-place.ts';
import type { KnownRun } from './known-runs.ts';
import type { WorkUnderWay } from './work-under-way.ts';

/** A round of a step that repeats. */
export interface Round extends SeenRound {
  /** The step (or item) whose round it is, as this worker took it: whoever takes it after that runs its rounds. */
  parent: TakenStep;
}

/** A step that has done its work, which is to be undone. */
export type UndoneStep = Pick<StepPlace, 'path' | 'step' | 'item' | 'iteration'>;

/** One step, or one item of one, or one round of either, to be tried. */
export interface StepWork {
  claim: Claim;
  facts: RunFacts;
  executable: ExecutablePlan;
  compiled: CompiledStep;
  item: number | null;
  /** Absent: it is no round. */
  round?: Round;
  /** The step that this one takes back; absent: it is no undo. */
  undoes?: UndoneStep;
  /** Nothing else of the run works meanwhile. */
  alone: boolean;
  signal: AbortSignal;
  underWay: WorkUnderWay;
  known: KnownRun;
  /** Written in the transaction of a good end: the run's own end, when this step is its last. */
  alsoAtEnd?: (sql: TransactionSql) => Promise<void>;
}

/** Neither an item nor a round nor an undo: what `when` and needs are asked of. */
export const isWhole = ({ item, round, undoes }: Pick<StepWork, 'item' | 'round' | 'undoes'>): boolean =>
  item === null && round === undefined && undoes === undefined;

export function placeOfWork({ compiled, item, round, undoes }: Pick<StepWork, 'compiled' | 'item' | 'round' | 'undoes'>): StepPlace {
  if (undoes !== undefined) return placeOfUndo(undoes);
  return round === undefined ? placeOf(compiled, item) : placeOfRound(round.parent, round.iteration);
}

/** A cancel stops it. What undoes is not stopped: it is how a cancelled run ends. */
export const heedsCancel = ({ undoes }: Pick<StepWork, 'undoes'>): boolean => undoes === undefined;
