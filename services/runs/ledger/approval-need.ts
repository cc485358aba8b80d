import type { StepStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';

const ended: readonly StepStatus[] = ['succeeded', 'skipped', 'failed', 'cancelled', 'compensated'];

/** Whether an approval has anything to decide: a step that it covers, or that looks at its decision, has not ended. One that covers nothing is about its message. */
export async function isApprovalNeeded(sql: TransactionSql, runId: string, shape: PlanShape, approval: number): Promise<boolean> {
  if (!shape.steps.some(({ gate }) => gate === approval)) return true;
  const behind = shape.steps.flatMap(({ needs }, step) => (needs.includes(approval) ? [step] : []));
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from kos.steps
    where run_id = ${runId} and step in ${sql(behind)} and item is null and iteration is null and undoes is null and status in ${sql(ended)}`;
  return row?.count !== behind.length;
}
