import { KosError } from '#core/errors.ts';
import type { SetTrigger, Trigger, WebhookScheme } from '#schemas/trigger.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';

/** Deliveries, and what equal ones are known by. */
export const deliveriesKeptDays = 7;

export interface TriggerRow {
  id: string;
  workspaceId: string;
  name: string;
  definition: SetTrigger;
  enabled: boolean;
  note: string | null;
  secret: Buffer | null;
  previousSecret: Buffer | null;
  previousUntil: Date | null;
  createdBy: string;
  granted: string[];
  version: number;
  refused: number;
  refusedAt: Date | null;
  refusedReason: string | null;
  createdAt: Date;
  updatedAt: Date;
}

export const triggerColumns = (sql: TransactionSql | SystemDatabase['sql']) => sql`
  id, workspace_id as "workspaceId", name, definition, enabled, note, secret, previous_secret as "previousSecret",
  case when previous_until > clock_timestamp() then previous_until end as "previousUntil", created_by as "createdBy", granted, version, refused, refused_at as "refusedAt",
  refused_reason as "refusedReason", created_at as "createdAt", updated_at as "updatedAt"`;

/** The trigger's row until the end of the transaction. Throws KosError `trigger_not_found`. */
export async function lockTrigger(sql: TransactionSql, id: string): Promise<TriggerRow> {
  const [row] = await sql<TriggerRow[]>`select ${triggerColumns(sql)} from kos.triggers where id = ${id} for update`;
  if (row === undefined) throw triggerNotFound(id);
  return row;
}

export const triggerNotFound = (id: string): KosError =>
  new KosError({ code: 'trigger_not_found', message: `There is no trigger ${id} in this workspace.`, fix: 'kai trigger list', status: 404 });

const deduplication: Record<WebhookScheme, string> = {
  standard: 'by webhook-id',
  github: 'by X-GitHub-Delivery',
  stripe: "by the event's id",
  slack: "by the event's event_id; commands and interactions have none, and each starts a run",
  bearer: 'by Idempotency-Key; a delivery without one is never a duplicate',
};

export const showTrigger = (row: TriggerRow, publicUrl: string): Trigger => ({
  ...row.definition,
  id: row.id,
  name: row.name,
  url: `${publicUrl}/hooks/${row.id}`,
  labels: row.definition.labels ?? {},
  priority: row.definition.priority ?? null,
  enabled: row.enabled,
  note: row.note,
  createdBy: row.createdBy,
  grant: row.granted,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
  previousSecretUntil: row.previousSecret === null ? null : (row.previousUntil?.toISOString() ?? null),
  refused: row.refused,
  lastRefusal: row.refusedAt === null ? null : { at: row.refusedAt.toISOString(), reason: row.refusedReason ?? '' },
  deduplication: `for ${deliveriesKeptDays} days, ${deduplication[row.definition.scheme]}`,
});
