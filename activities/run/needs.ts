import { needsVerdict, type Verdict } from '#core/engine/readiness.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import { readOutcomes } from '#services/runs/ledger/step-outcomes.ts';

/** What the rows of a step's needs say of it. */
export async function readVerdict(sql: TransactionSql, runId: string, { shape }: ExecutablePlan, step: number): Promise<Verdict> {
  const own = shape.steps[step];
  if (own === undefined) throw new Error(`The plan of ${runId} has no step ${step}.`);
  const outcomes = await readOutcomes(sql, runId, own.needs);
  return needsVerdict(own, (need) => outcomes.get(need) ?? null);
}
