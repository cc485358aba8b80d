import type { Json } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';

/** What a step took. */
export interface TakenSignal {
  id: string;
  payload: Json;
  sentBy: string;
}

/**
 * One at a time in a run: who sends, who begins to wait and who looks whether a wait is over. Without it a signal could be put aside while the step that
 * wants it begins to wait, and neither would see the other. To be taken before any row: whoever holds a row must not wait for it.
 */
export async function lockSignals(sql: TransactionSql, runId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${runId}, 11))`;
}

/** The oldest of that name that no step took. */
export async function takeBufferedSignal(sql: TransactionSql, runId: string, name: string, stepPath: string): Promise<TakenSignal | null> {
  const [row] = await sql<TakenSignal[]>`
    update kos.signals set taken_by = ${stepPath}, taken_at = clock_timestamp()
    where id = (select id from kos.signals where run_id = ${runId} and name = ${name} and taken_by is null order by position limit 1)
    returning id, payload, sent_by as "sentBy"`;
  return row ?? null;
}

/** The signal that ended a wait. */
export async function signalOfWait(sql: TransactionSql, runId: string, waitId: string): Promise<TakenSignal | null> {
  const [row] = await sql<TakenSignal[]>`select id, payload, sent_by as "sentBy" from kos.signals where run_id = ${runId} and wait_id = ${waitId}`;
  return row ?? null;
}
