import type { Claim } from '#core/engine/claim.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import type { RunFacts } from '#services/runs/ledger/header.ts';
import type { SeenRound } from '#services/runs/ledger/load-scope.ts';
import type { StepPlace, TakenStep } from '#services/runs/ledger/take-step.ts';
import { placeOf, placeOfRound } from './step-place.ts';
import type { KnownRun } from './known-runs.ts';
import type { WorkUnderWay } from './work-under-way.ts';

/** A round of a step that repeats. */
export interface Round extends SeenRound {
  /** The step (or item) whose round it is, as this worker took it: whoever takes it after that runs its rounds. */
  parent: TakenStep;
}

/** One step, or one item of one, or one round of either, to be tried. */
export interface StepWork {
  claim: Claim;
  facts: RunFacts;
  executable: ExecutablePlan;
  compiled: CompiledStep;
  item: number | null;
  /** Absent: it is no round. */
  round?: Round;
  /** Nothing else of the run works meanwhile. */
  alone: boolean;
  signal: AbortSignal;
  underWay: WorkUnderWay;
  known: KnownRun;
  /** Written in the transaction of a good end: the run's own end, when this step is its last. */
  alsoAtEnd?: (sql: TransactionSql) => Promise<void>;
}

/** Neither an item nor a round: what `when` and needs are asked of. */
export const isWhole = ({ item, round }: Pick<StepWork, 'item' | 'round'>): boolean => item === null && round === undefined;

export const placeOfWork = ({ compiled, item, round }: Pick<StepWork, 'compiled' | 'item' | 'round'>): StepPlace =>
  round === undefined ? placeOf(compiled, item) : placeOfRound(round.parent, round.iteration);
