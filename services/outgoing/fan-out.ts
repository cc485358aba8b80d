import { type ToldEvent, webhookBody } from '#core/outgoing/payload.ts';
import { selectedTypes } from '#core/outgoing/selectors.ts';
import { lostRight } from '#core/policy/delegated.ts';
import type { InstallationRole } from '#core/policy/permissions.ts';
import type { EventType } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { SetWebhook } from '#schemas/webhook.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { enableWebhook } from '#services/webhooks/change.ts';

const webhooksAtOnce = 100;
const eventsAtOnce = 200;

/**
 * Makes deliveries of the events that webhooks have not seen. Cursor and deliveries move in one transaction, along the sequencer's numbers: whoever is killed in
 * between loses nothing and tells nothing twice. Several processes may do so. True: there may be more.
 */
export async function fanOut({ system, publicUrl }: { system: SystemDatabase; publicUrl: string }): Promise<boolean> {
  const behind = await system.sql<{ id: string }[]>`
    select id from kos.webhooks where enabled and seen_seq < (select last_event_seq from kos.sequencer where id = 1) order by seen_seq limit ${webhooksAtOnce}`;
  let more = behind.length === webhooksAtOnce;
  for (const { id } of behind) {
    if (await system.sql.begin((sql) => tellWebhook(sql, id, publicUrl))) more = true;
  }
  return more;
}

interface BehindRow {
  id: string;
  workspaceId: string;
  definition: SetWebhook;
  seenSeq: number;
  granted: string[];
  roles: string[] | null;
  installationRole: InstallationRole | null;
  /** Its creator, as people call them. */
  person: string;
  lastSeq: number;
}

interface EventRow {
  id: string;
  seq: number;
  type: EventType;
  runId: string | null;
  at: Date;
  data: JsonObject;
}

async function tellWebhook(sql: TransactionSql, id: string, publicUrl: string): Promise<boolean> {
  const [row] = await sql<BehindRow[]>`
    select w.id, w.workspace_id as "workspaceId", w.definition, w.seen_seq as "seenSeq", w.granted, m.roles, p.installation_role as "installationRole",
      coalesce((select name from kos.principals where id = w.created_by), w.created_by) as person, (select last_event_seq from kos.sequencer where id = 1) as "lastSeq"
    from kos.webhooks w
      left join kos.principals p on p.id = w.created_by and p.disabled_at is null
      left join kos.memberships m on m.workspace_id = w.workspace_id and m.principal_id = p.id and not m.disabled
    where w.id = ${id} and w.enabled for update of w skip locked`;
  if (row === undefined) return false;
  const { workspaceId, definition } = row;
  const lost = lostRight(row.granted, row.roles === null ? null : { roles: row.roles, installationRole: row.installationRole }, 'runs:read', row.person);
  if (lost !== null) {
    await enableWebhook({ sql }, { workspaceId, actor: 'kos', id, enabled: false, note: lost });
    return false;
  }
  const events = await sql<EventRow[]>`
    select e.id, e.seq, e.type, e.run_id as "runId", e.at, e.data from kos.events e
    where e.workspace_id = ${workspaceId} and e.seq > ${row.seenSeq} and e.seq <= ${row.lastSeq} and e.type in ${sql(selectedTypes(definition.events))}
      and ${definition.plan === null ? sql`true` : sql`exists (select from kos.runs r where r.id = e.run_id and r.plan_name = ${definition.plan})`}
    order by e.seq limit ${eventsAtOnce}`;
  await insertDeliveries(
    sql,
    id,
    events.map((event) => ({ ...event, workspaceId, at: event.at.toISOString() })),
    publicUrl,
  );
  const isFull = events.length === eventsAtOnce;
  await sql`update kos.webhooks set seen_seq = ${isFull ? (events.at(-1)?.seq ?? row.lastSeq) : row.lastSeq} where id = ${id}`;
  return isFull;
}

async function insertDeliveries(sql: TransactionSql, targetId: string, events: readonly ToldEvent[], publicUrl: string): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map((event) => ({
    id: newId('outgoing'),
    workspace_id: event.workspaceId,
    target_id: targetId,
    event_id: event.id,
    type: event.type,
    run_id: event.runId,
    body: webhookBody(event, publicUrl),
  }));
  await sql`insert into kos.outgoing_deliveries ${sql(rows)} on conflict (target_id, event_id) where redelivered_by is null do nothing`;
}
