import type { Json } from '#schemas/json.ts';
import type { Signal } from '#schemas/signal.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';

interface SignalRow {
  id: string;
  run_id: string;
  name: string;
  position: number;
  payload: Json;
  sent_by: string;
  received_at: Date;
  taken_by: string | null;
  taken_at: Date | null;
}

const columns = (sql: TransactionSql) => sql`id, run_id, name, position, payload, sent_by, received_at, taken_by, taken_at`;

const showSignal = (row: SignalRow): Signal => ({
  id: row.id,
  runId: row.run_id,
  name: row.name,
  payload: row.payload,
  status: row.taken_by === null ? 'buffered' : 'taken',
  stepPath: row.taken_by,
  sentBy: row.sent_by,
  receivedAt: row.received_at.toISOString(),
  takenAt: row.taken_at?.toISOString() ?? null,
});

export async function readSignal({ sql }: Transaction, signalId: string): Promise<Signal> {
  const [row] = await sql<SignalRow[]>`select ${columns(sql)} from kos.signals where id = ${signalId}`;
  if (row === undefined) throw new Error(`The signal ${signalId} is gone.`);
  return showSignal(row);
}

/** In the order of their arrival. */
export async function listSignals({ sql }: Transaction, runId: string, page: { cursor: string | null; limit: number }): Promise<Page<Signal>> {
  const after = page.cursor === null ? 0 : (decodeCursor(page.cursor, ['number']) as [number])[0];
  const rows = await sql<SignalRow[]>`
    select ${columns(sql)} from kos.signals where run_id = ${runId} and position > ${after} order by position limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showSignal, (row) => [row.position]);
}
