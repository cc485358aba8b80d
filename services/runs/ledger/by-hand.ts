import type { ByHand } from '#core/engine/by-hand.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { unfinishedItems } from './items.ts';
import { outcomeOf } from './take-step.ts';

/** The steps that people have decided on, as their rows are now: what a workflow that is reminded must know. */
export async function readByHand(sql: TransactionSql, runId: string, shape: PlanShape): Promise<ByHand[]> {
  const rows = await sql<{ step: number; status: StepStatus; count: number | null }[]>`
    select step, status, (metadata->>'items')::int as count from kos.steps where run_id = ${runId} and item is null and iteration is null and undoes is null and metadata ? 'byHand' order by step`;
  return await Promise.all(
    rows.map(async ({ step, status, count }) => {
      const outcome = outcomeOf(status, shape.steps[step]?.tolerated === true);
      const goesOn = outcome === null && count !== null;
      return { step, outcome, items: goesOn ? { count, unfinished: await unfinishedItems(sql, runId, step, 0, count, true) } : null };
    }),
  );
}
