import type { TransactionSql } from '#services/database/connect.ts';

/** A fallback, and the step that it stands in for, by their paths. */
export interface StandIn {
  runId: string;
  failed: string;
  fallback: string;
}

/**
 * The output of a fallback becomes that of the step it stands in for, in the transaction that ends whichever of the two ends last: whoever reads that step need
 * not know of the fallback. Nothing, as long as one of them has not come to that.
 */
export async function standIn(sql: TransactionSql, { runId, failed, fallback }: StandIn): Promise<void> {
  await sql`
    update kos.steps failed set output = fallback.output, output_id = fallback.output_id
    from kos.steps fallback
    where failed.run_id = ${runId} and failed.path = ${failed} and failed.status = 'failed'
      and fallback.run_id = failed.run_id and fallback.path = ${fallback} and fallback.status = 'succeeded'`;
}
