import type { SystemDatabase } from '#services/database/connect.ts';
import { deliveriesKeptDays } from './row.ts';

const deliveriesPerBatch = 2_000;

/** Deliveries that are kept no longer: with them goes what equal ones were known by. True: there may be more. */
export async function pruneDeliveries({ sql }: SystemDatabase): Promise<boolean> {
  const removed = await sql`
    delete from kos.trigger_deliveries where id in (
      select id from kos.trigger_deliveries where received_at < clock_timestamp() - make_interval(days => ${deliveriesKeptDays}) order by received_at limit ${deliveriesPerBatch})`;
  return removed.count === deliveriesPerBatch;
}
