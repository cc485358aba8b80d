import type { Claim } from '#core/engine/claim.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { TakenStep } from './take-step.ts';

/** The output of a fallback becomes that of the step it stands in for, in the transaction that ends it: whoever reads that step need not know of the fallback. */
export async function standIn(sql: TransactionSql, claim: Claim, failedId: string, fallback: TakenStep): Promise<void> {
  await sql`
    update kos.steps failed set output = fallback.output, output_id = fallback.output_id
    from kos.steps fallback
    where failed.run_id = ${claim.runId} and failed.path = ${failedId} and fallback.run_id = failed.run_id and fallback.path = ${fallback.path}`;
}
