import type { TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';

export interface NewDelivery {
  workspaceId: string;
  targetId: string;
  /** By which equal ones are known. */
  eventId: string;
  type: string;
  runId: string | null;
  body: string;
}

/** Once for each target and event. */
export async function insertDeliveries(sql: TransactionSql, deliveries: readonly NewDelivery[]): Promise<void> {
  if (deliveries.length === 0) return;
  const rows = deliveries.map(({ workspaceId, targetId, eventId, type, runId, body }) => ({
    id: newId('outgoing'),
    workspace_id: workspaceId,
    target_id: targetId,
    event_id: eventId,
    type,
    run_id: runId,
    body,
  }));
  await sql`insert into kos.outgoing_deliveries ${sql(rows)} on conflict (target_id, event_id) where redelivered_by is null do nothing`;
}
