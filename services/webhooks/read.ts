import type { Webhook } from '#schemas/webhook.ts';
import type { Transaction } from '#services/database/connect.ts';
import { deliveryCounts, receiverNotFound } from '#services/outgoing/receivers.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { type DeliveryCounts, showWebhook, webhookColumns, type WebhookRow } from './row.ts';

type CountedRow = WebhookRow & DeliveryCounts;

const counted = ({ sql }: Transaction) => sql`select ${webhookColumns(sql)}, ${deliveryCounts(sql)} from kos.webhooks r`;

/** By name. */
export async function listWebhooks(transaction: Transaction, query: { cursor: string | null; limit: number; name: string | null }): Promise<Page<Webhook>> {
  const { sql } = transaction;
  const after = query.cursor === null ? null : (decodeCursor(query.cursor, ['string']) as [string])[0];
  const rows = await sql<CountedRow[]>`
    ${counted(transaction)} where ${after === null ? sql`true` : sql`r.name > ${after}`} and ${query.name === null ? sql`true` : sql`r.name = ${query.name}`}
    order by r.name limit ${query.limit + 1}`;
  return pageOf(
    rows,
    query.limit,
    (row) => showWebhook(row, row),
    (row) => [row.name],
  );
}

/** Throws KosError `webhook_not_found`. */
export async function readWebhook(transaction: Transaction, id: string): Promise<{ shown: Webhook; version: number }> {
  const [row] = await transaction.sql<CountedRow[]>`${counted(transaction)} where r.id = ${id}`;
  if (row === undefined) throw receiverNotFound('webhook', id);
  return { shown: showWebhook(row, row), version: row.version };
}
