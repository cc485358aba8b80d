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
  r.id, r.workspace_id as "workspaceId", r.name, r.definition, r.enabled, r.note, r.secret, r.previous_secret as "previousSecret",
  case when r.previous_until > clock_timestamp() then r.previous_until end as "previousUntil", r.created_by as "createdBy", r.granted, r.version,
  r.created_at as "createdAt", r.updated_at as "updatedAt"`;

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
