import { webhookBody } from '#core/outgoing/payload.ts';
import { selectedTypes } from '#core/outgoing/selectors.ts';
import type { EventType } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { SetWebhook } from '#schemas/webhook.ts';
import { tellChannel, tellDigests } from '#services/channels/tell.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { type Behind, tellThoseBehind } from './behind.ts';
import { insertDeliveries } from './deliveries.ts';

const eventsAtOnce = 200;

export interface FanOutMeans {
  system: SystemDatabase;
  publicUrl: string;
  now: () => number;
}

/** Makes deliveries of the events that webhooks and channels have not seen, and of digests that are due. True: there may be more. */
export async function fanOut({ system, publicUrl, now }: FanOutMeans): Promise<boolean> {
  const webhooks = await tellThoseBehind<SetWebhook>(system, 'webhook', (sql, receiver) => tellWebhook(sql, receiver, publicUrl));
  const channels = await tellThoseBehind(system, 'channel', tellChannel({ publicUrl, nowMs: now() }));
  const digests = await tellDigests(system, { publicUrl, nowMs: now() });
  return webhooks || channels || digests;
}

interface EventRow {
  id: string;
  seq: number;
  type: EventType;
  runId: string | null;
  at: Date;
  data: JsonObject;
}

async function tellWebhook(sql: TransactionSql, { id, workspaceId, definition, seenSeq, lastSeq }: Behind<SetWebhook>, publicUrl: string): Promise<number> {
  const events = await sql<EventRow[]>`
    select e.id, e.seq, e.type, e.run_id as "runId", e.at, e.data from kos.events e
    where e.workspace_id = ${workspaceId} and e.seq > ${seenSeq} and e.seq <= ${lastSeq} and e.type in ${sql(selectedTypes(definition.events))}
      and ${definition.plan === null ? sql`true` : sql`exists (select from kos.runs r where r.id = e.run_id and r.plan_name = ${definition.plan})`}
    order by e.seq limit ${eventsAtOnce}`;
  await insertDeliveries(
    sql,
    events.map(({ at, ...event }) => ({
      workspaceId,
      targetId: id,
      eventId: event.id,
      type: event.type,
      runId: event.runId,
      body: webhookBody({ ...event, workspaceId, at: at.toISOString() }, publicUrl),
    })),
  );
  return events.length === eventsAtOnce ? (events.at(-1)?.seq ?? lastSeq) : lastSeq;
}
