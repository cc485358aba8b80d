import type { Webhook } from '#schemas/webhook.ts';
import type { Transaction } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { type DeliveryCounts, showWebhook, webhookColumns, webhookNotFound, type WebhookRow } from './row.ts';

type CountedRow = WebhookRow & DeliveryCounts;

const counted = ({ sql }: Transaction) => sql`
  select ${webhookColumns(sql)}, (select count(*)::int from kos.outgoing_deliveries d where d.target_id = w.id and d.status = 'pending') as pending,
    (select count(*)::int from kos.outgoing_deliveries d where d.target_id = w.id and d.status = 'failed') as failed
  from kos.webhooks w`;

/** By name. */
export async function listWebhooks(transaction: Transaction, query: { cursor: string | null; limit: number; name: string | null }): Promise<Page<Webhook>> {
  const { sql } = transaction;
  const after = query.cursor === null ? null : (decodeCursor(query.cursor, ['string']) as [string])[0];
  const rows = await sql<CountedRow[]>`
    ${counted(transaction)} where ${after === null ? sql`true` : sql`w.name > ${after}`} and ${query.name === null ? sql`true` : sql`w.name = ${query.name}`}
    order by w.name limit ${query.limit + 1}`;
  return pageOf(
    rows,
    query.limit,
    (row) => showWebhook(row, row),
    (row) => [row.name],
  );
}

/** Throws KosError `webhook_not_found`. */
export async function readShownWebhook(transaction: Transaction, id: string): Promise<{ webhook: Webhook; version: number }> {
  const [row] = await transaction.sql<CountedRow[]>`${counted(transaction)} where w.id = ${id}`;
  if (row === undefined) throw webhookNotFound(id);
  return { webhook: showWebhook(row, row), version: row.version };
}
