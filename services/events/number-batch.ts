import { type AuditEntry, hashAuditEntry } from '#core/audit/entry.ts';
import { appendLeaves, type Frontier, packFrontier, unpackFrontier } from '#core/audit/merkle.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { eventChannel, formatNotice } from './notice.ts';

/** Rows of each kind in one batch: bounds the transaction and what is in memory. */
const batchRows = 1_000;

export interface BatchResult {
  events: number;
  auditEntries: number;
  /** As many as a batch takes: more may wait. */
  full: boolean;
  /** Another process is numbering at this moment. */
  taken: boolean;
}

interface SequencerRow {
  lastSeq: number;
  auditSize: number;
  frontier: Buffer;
}

/** Whether anything waits for its number; one round trip, and cheap: both indexes hold the unnumbered rows alone. */
export async function hasUnnumbered(system: SystemDatabase): Promise<boolean> {
  const [row] = await system.sql<{ any: boolean }[]>`
    select exists (select 1 from kos.events where seq is null) or exists (select 1 from kos.audit_entries where leaf_index is null) as any`;
  return row?.any === true;
}

/**
 * Numbers what has been committed since the last batch, appends the audit entries to the tree, and tells whoever listens, in one transaction. The
 * lock on the sequencer's row lasts as long as the transaction, so of several processes one numbers at a time, whatever becomes of the others.
 */
export async function numberBatch(system: SystemDatabase): Promise<BatchResult> {
  return system.sql.begin(async (sql) => {
    const [row] = await sql<SequencerRow[]>`
      select last_event_seq as "lastSeq", audit_size as "auditSize", audit_frontier as frontier from kos.sequencer where id = 1 for update skip locked`;
    if (row === undefined) return { events: 0, auditEntries: 0, full: false, taken: true };
    const events = await numberEvents(sql, row.lastSeq);
    const frontier = await appendAudit(sql, unpackFrontier(row.auditSize, row.frontier));
    const lastSeq = row.lastSeq + events.length;
    const auditEntries = frontier.size - row.auditSize;
    if (events.length + auditEntries > 0) {
      await sql`
        update kos.sequencer set last_event_seq = ${lastSeq}, audit_size = ${frontier.size}, audit_frontier = ${Buffer.from(packFrontier(frontier))}, updated_at = now()
        where id = 1`;
    }
    if (events.length > 0) {
      const notice = formatNotice(lastSeq, new Set(events.flatMap(({ runId }) => runId ?? [])), new Set(events.map(({ workspaceId }) => workspaceId)));
      await sql`select pg_notify(${eventChannel}, ${notice})`;
    }
    return { events: events.length, auditEntries, full: Math.max(events.length, auditEntries) >= batchRows, taken: false };
  });
}

interface NumberedEvent {
  runId: string | null;
  workspaceId: string;
}

/** Numbers follow insertion among what is visible; what commits later gets a later number, whenever it was inserted. */
const numberEvents = (sql: TransactionSql, lastSeq: number): Promise<NumberedEvent[]> => sql<NumberedEvent[]>`
  update kos.events e set seq = ${lastSeq}::bigint + batch.place
  from (
    select id, row_number() over (order by inserted) as place
    from (select id, inserted from kos.events where seq is null order by inserted limit ${batchRows}) waiting
  ) batch
  where e.id = batch.id
  returning e.run_id as "runId", e.workspace_id as "workspaceId"`;

interface EntryRow extends Omit<AuditEntry, 'at' | 'data'> {
  at: Date;
  data: JsonObject;
}

async function appendAudit(sql: TransactionSql, frontier: Frontier): Promise<Frontier> {
  const rows = await sql<EntryRow[]>`
    select id, workspace_id as "workspaceId", at, actor, action, subject, data from kos.audit_entries where leaf_index is null order by inserted limit ${batchRows}`;
  if (rows.length === 0) return frontier;
  const leaves = rows.map((row) => hashAuditEntry({ ...row, at: row.at.toISOString() }));
  // As text: postgres.js has no array type for bytea.
  const hashes = leaves.map((leaf) => Buffer.from(leaf).toString('hex'));
  await sql`
    update kos.audit_entries a set leaf_index = ${frontier.size}::bigint + batch.place - 1, leaf_hash = decode(batch.hash, 'hex')
    from rows from (jsonb_array_elements_text(${sql.json(rows.map((row) => row.id))}), jsonb_array_elements_text(${sql.json(hashes)})) with ordinality as batch(id, hash, place)
    where a.id = batch.id`;
  return appendLeaves(frontier, leaves);
}
