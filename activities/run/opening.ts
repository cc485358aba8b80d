import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import type { OpenWait } from '#services/runs/ledger/waits.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';

/** A wait being opened, in the transaction that opens it. */
export interface Opening {
  dependencies: RunActivityDependencies;
  sql: TransactionSql;
  work: RunWork;
  compiled: CompiledStep;
  step: TakenStep;
  toldTo: string | null;
  scope: Scope;
}

export type Opened = OpenWait & { waitingFor: WaitingFor };
/** What was waited for is there already. */
export type EndedAtOnce = { output: Json; metadata: JsonObject };
/** Nothing is to be waited for. */
export type SkippedAtOnce = { skipped: string };
