import type { TransactionSql } from '#services/database/connect.ts';

/** A fallback, and the step that it stands in for, by their paths. */
export interface StandIn {
  runId: string;
  failed: string;
  fallback: string;
}

/**
 * The output of a fallback becomes that of the step it stands in for, in the transaction that ends whichever of the two ends last: whoever reads that step need
 * not know of the fallback. So it does where the fallback has failed and goes on with a value; and where that step is itself a fallback, what that stands in
 * for has it, too. Nothing, as long as one of them has not come to that.
 */
export async function standIn(sql: TransactionSql, { runId, failed, fallback }: StandIn): Promise<void> {
  await sql`
    with recursive failed (path) as (
      select path from kos.steps where run_id = ${runId} and path = ${failed} and status = 'failed'
      union
      select above.path from kos.steps above join failed on above.metadata->>'fallback' = failed.path where above.run_id = ${runId} and above.status = 'failed')
    update kos.steps step set output = fallback.output, output_id = fallback.output_id
    from failed, kos.steps fallback
    where step.run_id = ${runId} and step.path = failed.path and fallback.run_id = ${runId} and fallback.path = ${fallback}
      and (fallback.status = 'succeeded' or (fallback.status = 'failed' and fallback.metadata->>'tolerated' = 'true'))`;
}
