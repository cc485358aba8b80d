import { isDecisionNeeded } from '#core/approval/needed.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { readOutcomes } from './step-outcomes.ts';

/** Whether an approval has anything to decide, by the rows of its run's steps. */
export async function isApprovalNeeded(sql: TransactionSql, runId: string, shape: PlanShape, approval: number): Promise<boolean> {
  const outcomes = await readOutcomes(sql, runId, [...shape.steps.keys()]);
  return isDecisionNeeded(shape, approval, (step) => outcomes.get(step) ?? null);
}
