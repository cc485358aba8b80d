import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
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
