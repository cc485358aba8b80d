import type { TransactionSql } from '#services/database/connect.ts';

/** Who retried the run, as the row of a step that runs another plan keeps it until that step has gone on with its sub-run. */
export interface Retried {
  by: string;
  reason: string | null;
  /** The undos of the sub-run that had not succeeded were tried again already. */
  undos?: true;
}

/** To be merged into the metadata of a step that begins again. */
export const markRetried = (sql: TransactionSql, by: string, reason: string | null) =>
  sql`case when kind = 'plan' then jsonb_build_object('retried', jsonb_build_object('by', ${by}::text, 'reason', ${reason}::text)) else '{}'::jsonb end`;
