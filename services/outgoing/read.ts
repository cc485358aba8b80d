import { KosError } from '#core/errors.ts';
import type { Attempt, OutgoingContent, OutgoingDelivery, OutgoingStatus } from '#schemas/outgoing.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeNewestFirst, newestFirstKey, type Page, pageOf } from '#services/paging/page.ts';

interface DeliveryRow {
  id: string;
  status: OutgoingStatus;
  type: string;
  eventId: string;
  runId: string | null;
  attempts: number;
  lastTry: Attempt | null;
  reason: string | null;
  redeliveredBy: string | null;
  nextAttemptAt: Date | null;
  createdAt: Date;
  finishedAt: Date | null;
}

const columns = (sql: TransactionSql) => sql`
  id, status, type, event_id as "eventId", run_id as "runId", jsonb_array_length(tries) as attempts, tries->-1 as "lastTry", reason, redelivered_by as "redeliveredBy",
  next_attempt_at as "nextAttemptAt", created_at as "createdAt", finished_at as "finishedAt"`;

const showDelivery = ({ lastTry, reason, nextAttemptAt, createdAt, finishedAt, ...row }: DeliveryRow): OutgoingDelivery => ({
  ...row,
  error: reason ?? lastTry?.error ?? null,
  fix: lastTry?.fix ?? null,
  nextAttemptAt: nextAttemptAt?.toISOString() ?? null,
  createdAt: createdAt.toISOString(),
  finishedAt: finishedAt?.toISOString() ?? null,
});

/** Newest first; dead letters by their status. */
export async function listOutgoing(
  { sql }: Transaction,
  targetId: string,
  query: { cursor: string | null; limit: number; status: OutgoingStatus | null },
): Promise<Page<OutgoingDelivery>> {
  const before = query.cursor === null ? null : decodeNewestFirst(query.cursor);
  const rows = await sql<DeliveryRow[]>`
    select ${columns(sql)} from kos.outgoing_deliveries
    where target_id = ${targetId} and ${query.status === null ? sql`true` : sql`status = ${query.status}`}
      and ${before === null ? sql`true` : sql`(created_at, id) < (${before.createdAt}, ${before.id})`}
    order by created_at desc, id desc limit ${query.limit + 1}`;
  return pageOf(rows, query.limit, showDelivery, newestFirstKey);
}

/** With its body and every try. Throws KosError `delivery_not_found`. */
export async function readOutgoing({ sql }: Transaction, targetId: string, id: string): Promise<OutgoingContent> {
  const [row] = await sql<(DeliveryRow & { body: string; tries: Attempt[] })[]>`
    select ${columns(sql)}, body, tries from kos.outgoing_deliveries where id = ${id} and target_id = ${targetId}`;
  if (row === undefined) throw outgoingNotFound(id);
  const { body, tries, ...delivery } = row;
  return { ...showDelivery(delivery), body, tries };
}

export const outgoingNotFound = (id: string): KosError =>
  new KosError({
    code: 'delivery_not_found',
    message: `There is no delivery ${id} to this receiver, or it is kept no longer.`,
    fix: 'List them: kai webhook deliveries NAME',
    status: 404,
  });
