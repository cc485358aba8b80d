import type { Logger } from 'pino';
import type { SystemDatabase } from '#services/database/connect.ts';
import type { OutgoingDoor } from '#services/temporal/outgoing-door.ts';
import type { DeliveryPlace } from './attempt.ts';

export interface StartOptions {
  system: SystemDatabase;
  door: OutgoingDoor;
  log: Logger;
}

const batch = 50;
/** A workflow that was started says itself when it is to be looked after again; one that does not within this time is started again. */
const lookAgainSeconds = 120;
const retryAfterSeconds = 2;

/**
 * Sees to it that the workflow of each delivery that is due runs: at first, and again where Temporal has lost it. One that runs is left alone. True: there may be
 * more.
 */
export async function startDeliveries({ system, door, log }: StartOptions): Promise<boolean> {
  const { sql } = system;
  const due = await sql<DeliveryPlace[]>`
    update kos.outgoing_deliveries set wake_at = clock_timestamp() + make_interval(secs => ${lookAgainSeconds})
    where id in (select id from kos.outgoing_deliveries where status = 'pending' and wake_at <= clock_timestamp() order by wake_at limit ${batch} for update skip locked)
    returning id as "deliveryId", workspace_id as "workspaceId"`;
  await Promise.all(
    due.map(async (place) => {
      try {
        await door.start(place);
      } catch (error) {
        log.warn({ deliveryId: place.deliveryId, error }, 'outgoing: Temporal could not be told of a delivery; trying again');
        await sql`
          update kos.outgoing_deliveries set wake_at = clock_timestamp() + make_interval(secs => ${retryAfterSeconds}) where id = ${place.deliveryId} and status = 'pending'`;
      }
    }),
  );
  return due.length === batch;
}
