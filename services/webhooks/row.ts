import { KosError } from '#core/errors.ts';
import type { SetWebhook, Webhook } from '#schemas/webhook.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { openFor } from '#services/outgoing/seal.ts';
import type { Sealing } from '#services/sealing/sealing.ts';

export interface WebhookRow {
  id: string;
  workspaceId: string;
  name: string;
  definition: SetWebhook;
  enabled: boolean;
  note: string | null;
  secret: Buffer;
  previousSecret: Buffer | null;
  /** Null: no secret but the present one signs. */
  previousUntil: Date | null;
  createdBy: string;
  granted: string[];
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

export const webhookColumns = (sql: TransactionSql) => sql`
  w.id, w.workspace_id as "workspaceId", w.name, w.definition, w.enabled, w.note, w.secret, w.previous_secret as "previousSecret",
  case when w.previous_until > clock_timestamp() then w.previous_until end as "previousUntil", w.created_by as "createdBy", w.granted, w.version,
  w.created_at as "createdAt", w.updated_at as "updatedAt"`;

/** Throws KosError `webhook_not_found`. */
export async function readWebhook(sql: TransactionSql, id: string): Promise<WebhookRow> {
  const [row] = await sql<WebhookRow[]>`select ${webhookColumns(sql)} from kos.webhooks w where w.id = ${id}`;
  if (row === undefined) throw webhookNotFound(id);
  return row;
}

/** The webhook's row until the end of the transaction. Throws KosError `webhook_not_found`. */
export async function lockWebhook(sql: TransactionSql, id: string): Promise<WebhookRow> {
  const [row] = await sql<WebhookRow[]>`select ${webhookColumns(sql)} from kos.webhooks w where w.id = ${id} for update`;
  if (row === undefined) throw webhookNotFound(id);
  return row;
}

export const webhookNotFound = (id: string): KosError =>
  new KosError({ code: 'webhook_not_found', message: `There is no webhook ${id} in this workspace.`, fix: 'kai webhook list', status: 404 });

/** Those that sign now, the newest first. */
export const signingSecrets = (sealing: Sealing, { id, secret, previousSecret, previousUntil }: WebhookRow): string[] =>
  [secret, previousUntil === null ? null : previousSecret].flatMap((sealed) => (sealed === null ? [] : [openFor(sealing, id, sealed)]));

export interface DeliveryCounts {
  pending: number;
  failed: number;
}

export const showWebhook = (row: WebhookRow, { pending, failed }: DeliveryCounts): Webhook => ({
  ...row.definition,
  id: row.id,
  name: row.name,
  enabled: row.enabled,
  note: row.note,
  createdBy: row.createdBy,
  grant: row.granted,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
  previousSecretUntil: row.previousUntil?.toISOString() ?? null,
  pending,
  failed,
});
