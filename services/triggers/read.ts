import { KosError } from '#core/errors.ts';
import { showBody, showHeaders } from '#core/trigger/shown.ts';
import type { Json } from '#schemas/json.ts';
import type { Delivery, DeliveryContent, Trigger } from '#schemas/trigger.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, decodeNewestFirst, type Page, pageOf } from '#services/paging/page.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { showTrigger, triggerColumns, triggerNotFound, type TriggerRow } from './row.ts';
import { openFor } from './secret.ts';

/** By name. */
export async function listTriggers(
  { sql }: Transaction,
  query: { cursor: string | null; limit: number; plan: string | null; name: string | null },
  publicUrl: string,
): Promise<Page<Trigger>> {
  const after = query.cursor === null ? null : (decodeCursor(query.cursor, ['string']) as [string])[0];
  const rows = await sql<TriggerRow[]>`
    select ${triggerColumns(sql)} from kos.triggers
    where ${after === null ? sql`true` : sql`name > ${after}`} and ${query.plan === null ? sql`true` : sql`plan_name = ${query.plan}`}
      and ${query.name === null ? sql`true` : sql`name = ${query.name}`}
    order by name limit ${query.limit + 1}`;
  return pageOf(
    rows,
    query.limit,
    (row) => showTrigger(row, publicUrl),
    (row) => [row.name],
  );
}

/** Throws KosError `trigger_not_found`. */
export async function readTrigger({ sql }: Transaction, id: string): Promise<TriggerRow> {
  const [row] = await sql<TriggerRow[]>`select ${triggerColumns(sql)} from kos.triggers where id = ${id}`;
  if (row === undefined) throw triggerNotFound(id);
  return row;
}

interface DeliveryRow extends Omit<Delivery, 'receivedAt'> {
  receivedAt: Date;
  content: Buffer;
}

const showDelivery = ({ content: _content, receivedAt, ...row }: DeliveryRow): Delivery => ({ ...row, receivedAt: receivedAt.toISOString() });

const columns = (sql: TransactionSql) => sql`
  id, status, reason, key, duplicate_of as "duplicateOf", run_id as "runId", redelivered_by as "redeliveredBy", bytes, received_at as "receivedAt"`;

/** Newest first; for 7 days. Throws KosError `trigger_not_found`. */
export async function listDeliveries(transaction: Transaction, triggerId: string, page: { cursor: string | null; limit: number }): Promise<Page<Delivery>> {
  await readTrigger(transaction, triggerId);
  const { sql } = transaction;
  const before = page.cursor === null ? null : decodeNewestFirst(page.cursor);
  const rows = await sql<DeliveryRow[]>`
    select ${columns(sql)}, ''::bytea as content from kos.trigger_deliveries
    where trigger_id = ${triggerId} and ${before === null ? sql`true` : sql`(received_at, id) < (${before.createdAt}, ${before.id})`}
    order by received_at desc, id desc limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showDelivery, (row) => [row.receivedAt.toISOString(), row.id]);
}

/** What was delivered, as it came. */
export interface DeliveredContent {
  headers: Record<string, string>;
  body: Json;
}

/** Throws KosError `delivery_not_found`. */
export async function openDelivery(
  { sql }: Transaction,
  sealing: Sealing,
  triggerId: string,
  deliveryId: string,
): Promise<{ delivery: Delivery; content: DeliveredContent }> {
  const [row] = await sql<DeliveryRow[]>`select ${columns(sql)}, content from kos.trigger_deliveries where id = ${deliveryId} and trigger_id = ${triggerId}`;
  if (row === undefined)
    throw new KosError({
      code: 'delivery_not_found',
      message: `There is no delivery ${deliveryId} of this trigger: they are kept for 7 days.`,
      fix: 'kai trigger deliveries NAME',
      status: 404,
    });
  return { delivery: showDelivery(row), content: JSON.parse(openFor(sealing, triggerId, 'content', row.content)) as DeliveredContent };
}

/** As people may see it. Throws KosError `trigger_not_found`, `delivery_not_found`. */
export async function readDelivery(transaction: Transaction, sealing: Sealing, triggerId: string, deliveryId: string): Promise<DeliveryContent> {
  const { definition } = await readTrigger(transaction, triggerId);
  const { delivery, content } = await openDelivery(transaction, sealing, triggerId, deliveryId);
  return { ...delivery, headers: showHeaders(content.headers, definition.private.headers), body: showBody(content.body, definition.private.body) };
}
