import type { PendingQuery, Row } from 'postgres';
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

type Fragment = PendingQuery<Row[]>;

/**
 * For `with changed as (insert or update … returning …)` to go on with: writes events and audit entries in the statement that makes the change, and only if
 * that changes a row. It spares a step four statements and as many round trips.
 */
export function recordedWithChange(sql: TransactionSql, records: { events: EventRecord[]; audit: AuditRecord | null }): Fragment {
  const events = records.events.length === 0 ? sql`` : sql`, told as (${insertEvents(sql, records.events)})`;
  return records.audit === null ? events : sql`${events}, audited as (${insertAudit(sql, records.audit)})`;
}

/** `place` keeps their order: the sequencer numbers events of one transaction as they were inserted. */
function insertEvents(sql: TransactionSql, records: EventRecord[]): Fragment {
  const rows = records.map(
    ({ workspaceId, runId, type, data }, place) =>
      sql`(${place}::int, ${newId('event')}::text, ${workspaceId}::text, ${runId}::text, ${type}::text, ${sql.json(data)}::jsonb)`,
  );
  return sql`insert into kos.events (id, workspace_id, run_id, type, data) select told.id, told.workspace_id, told.run_id, told.type, told.data
    from changed, (values ${rows.reduce((list, row) => sql`${list}, ${row}`)}) as told(place, id, workspace_id, run_id, type, data) order by told.place`;
}

const insertAudit = (sql: TransactionSql, { workspaceId, actor, action, subject, data }: AuditRecord): Fragment =>
  sql`insert into kos.audit_entries (id, workspace_id, actor, action, subject, data)
    select ${newId('audit')}::text, ${workspaceId}::text, ${actor}::text, ${action}::text, ${subject}::text, ${sql.json(data)}::jsonb from changed`;
