import type { EventType } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';

export interface EventRecord {
  workspaceId: string;
  runId: string | null;
  type: EventType;
  data: JsonObject;
}

export interface AuditRecord {
  workspaceId: string;
  /** Principal id, or `kos` for what the installation does by itself. */
  actor: string;
  /** `noun.verb`, e.g. `run.cancel`. */
  action: string;
  /** Id of what it was done to. */
  subject: string;
  /** Never a secret's value, a prompt or an output: digests and ids. */
  data: JsonObject;
}

/** Inserts events without a position, in the transaction of the change they tell of. */
export async function recordEvents(sql: TransactionSql, records: EventRecord[]): Promise<void> {
  if (records.length === 0) return;
  const rows = records.map((record) => ({
    id: newId('event'),
    workspace_id: record.workspaceId,
    run_id: record.runId,
    type: record.type,
    data: sql.json(record.data),
  }));
  await sql`insert into kos.events ${sql(rows)}`;
}

/** Inserts audit entries; the sequencer makes them leaves of the log. */
export async function recordAudit(sql: TransactionSql, records: AuditRecord[]): Promise<void> {
  if (records.length === 0) return;
  const rows = records.map((record) => ({
    id: newId('audit'),
    workspace_id: record.workspaceId,
    actor: record.actor,
    action: record.action,
    subject: record.subject,
    data: sql.json(record.data),
  }));
  await sql`insert into kos.audit_entries ${sql(rows)}`;
}
