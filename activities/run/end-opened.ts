import type { CompiledStep } from '#core/plan/compiled.ts';
import type { OutcomeError } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import type { RunWork } from './close-run.ts';

/** Ends a step in failure that has no work of its own to try again: a `forEach`, a wait. */
export async function endOpenedInFailure(sql: TransactionSql, work: RunWork, compiled: CompiledStep, step: TakenStep, error: OutcomeError): Promise<'t' | 'f'> {
  await endStep(sql, work.claim, step, { status: 'failed', output: null, error, costMicros: 0, metadata: compiled.tolerated ? { tolerated: true } : {} });
  return compiled.tolerated ? 't' : 'f';
}
