import { needsVerdict, type Verdict } from '#core/engine/readiness.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import { isTolerated, outcomeOf } from '#services/runs/ledger/take-step.ts';

/** What the rows of a step's needs say of it. */
export async function readVerdict(sql: TransactionSql, runId: string, { plan, shape }: ExecutablePlan, step: number): Promise<Verdict> {
  const own = shape.steps[step];
  if (own === undefined) throw new Error(`The plan of ${runId} has no step ${step}.`);
  const ids = own.needs.map((need) => plan.steps[need]?.id ?? '');
  const rows = await sql<{ step: number; status: StepStatus; tolerated: boolean }[]>`
    select step, status, ${isTolerated(sql)} as tolerated from kos.steps where run_id = ${runId} and path in ${sql(ids)}`;
  const outcomes = new Map(rows.map((row) => [row.step, outcomeOf(row.status, row.tolerated)]));
  return needsVerdict(own, (need) => outcomes.get(need) ?? null);
}
