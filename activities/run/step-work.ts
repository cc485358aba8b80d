import type { Claim } from '#core/engine/claim.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import type { RunFacts } from '#services/runs/ledger/header.ts';
import type { KnownRun } from './known-runs.ts';
import type { WorkUnderWay } from './work-under-way.ts';

/** One step, or one item of one, to be tried. */
export interface StepWork {
  claim: Claim;
  facts: RunFacts;
  executable: ExecutablePlan;
  compiled: CompiledStep;
  item: number | null;
  /** Nothing else of the run works meanwhile. */
  alone: boolean;
  signal: AbortSignal;
  underWay: WorkUnderWay;
  known: KnownRun;
  /** Written in the transaction of a good end: the run's own end, when this step is its last. */
  alsoAtEnd?: (sql: TransactionSql) => Promise<void>;
}
