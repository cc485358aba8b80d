import type { Outcome } from '#core/engine/outcome.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { isTolerated, outcomeOf } from './take-step.ts';

/** How those of a run's steps ended that have, by number. */
export async function readOutcomes(sql: TransactionSql, runId: string, steps: readonly number[]): Promise<Map<number, Outcome>> {
  const rows = await sql<{ step: number; status: StepStatus; tolerated: boolean }[]>`
    select step, status, ${isTolerated(sql)} as tolerated from kos.steps
    where run_id = ${runId} and step in ${sql(steps)} and item is null and iteration is null and undoes is null`;
  return new Map(
    rows.flatMap((row): [number, Outcome][] => {
      const outcome = outcomeOf(row.status, row.tolerated);
      return outcome === null ? [] : [[row.step, outcome]];
    }),
  );
}
