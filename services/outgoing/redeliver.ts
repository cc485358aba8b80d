import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { RedeliverDead, Redelivered } from '#schemas/outgoing.ts';
import type { Transaction } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';
import { outgoingNotFound } from './read.ts';

/** Sends a delivery again, under the `webhook-id` that it had. Returns the new one's id. Throws KosError `delivery_not_found` (404), `delivery_pending` (409). */
export async function redeliver({ sql }: Transaction, { workspaceId, principalId: actor }: Principal, targetId: string, deliveryId: string): Promise<string> {
  const id = newId('outgoing');
  const [found] = await sql<{ status: string }[]>`select status from kos.outgoing_deliveries where id = ${deliveryId} and target_id = ${targetId} for update`;
  if (found === undefined) throw outgoingNotFound(deliveryId);
  if (found.status === 'pending')
    throw new KosError({ code: 'delivery_pending', message: `The delivery ${deliveryId} is still on its way.`, fix: 'Wait for its end.', status: 409 });
  await sql`
    insert into kos.outgoing_deliveries (id, workspace_id, target_id, event_id, type, run_id, body, redelivered_by)
    select ${id}, workspace_id, target_id, event_id, type, run_id, body, ${actor} from kos.outgoing_deliveries where id = ${deliveryId}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'delivery.redeliver', subject: targetId, data: { deliveryId, as: id } }]);
  return id;
}

const mostAtOnce = 500;

/**
 * Sends dead letters again, the oldest first: of each event the newest delivery, where that was given up. What was sent again already and is on its way, or has
 * arrived, is left alone.
 */
export async function redeliverDead(
  { sql }: Transaction,
  { workspaceId, principalId: actor }: Principal,
  targetId: string,
  { since, type }: RedeliverDead,
): Promise<Redelivered> {
  const dead = await sql<{ id: string }[]>`
    select id from (
      select distinct on (event_id) id, status, type, created_at from kos.outgoing_deliveries where target_id = ${targetId} order by event_id, created_at desc, id desc
    ) newest
    where status = 'failed' and ${type === undefined ? sql`true` : sql`type = ${type}`} and ${since === undefined ? sql`true` : sql`created_at >= ${since}`}
    order by created_at, id limit ${mostAtOnce + 1}`;
  const now = dead.slice(0, mostAtOnce).map(({ id }) => ({ id, again: newId('outgoing') }));
  if (now.length > 0) {
    await sql`
      insert into kos.outgoing_deliveries (id, workspace_id, target_id, event_id, type, run_id, body, redelivered_by)
      select pair.again, d.workspace_id, d.target_id, d.event_id, d.type, d.run_id, d.body, ${actor}
      from jsonb_to_recordset(${sql.json(now)}) as pair (id text, again text) join kos.outgoing_deliveries d on d.id = pair.id`;
    await recordAudit(sql, [{ workspaceId, actor, action: 'delivery.redeliver-dead', subject: targetId, data: { redelivered: now.length } }]);
  }
  return { redelivered: now.length, more: dead.length > now.length };
}
