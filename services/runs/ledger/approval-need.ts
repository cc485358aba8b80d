import { isDecisionNeeded } from '#core/approval/needed.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { isTolerated, outcomeOf } from './take-step.ts';

/** Whether an approval has anything to decide, by the rows of its run's steps. */
export async function isApprovalNeeded(sql: TransactionSql, runId: string, shape: PlanShape, approval: number): Promise<boolean> {
  const rows = await sql<{ step: number; status: StepStatus; tolerated: boolean }[]>`
    select step, status, ${isTolerated(sql)} as tolerated from kos.steps where run_id = ${runId} and item is null and iteration is null and undoes is null`;
  const outcomes = new Map(rows.map(({ step, status, tolerated }) => [step, outcomeOf(status, tolerated)]));
  return isDecisionNeeded(shape, approval, (step) => outcomes.get(step) ?? null);
}
