import type { SystemDatabase } from '#services/database/connect.ts';

/** What arrived is of interest for a while; what did not, for as long as somebody may want to send it again. */
export const keptDays = { delivered: 7, failed: 30 };
const deliveriesPerBatch = 2_000;

/** Deliveries that are over and kept no longer. True: there may be more. */
export async function pruneOutgoing({ sql }: SystemDatabase): Promise<boolean> {
  const removed = await sql`
    delete from kos.outgoing_deliveries where id in (
      select id from kos.outgoing_deliveries
      where finished_at < clock_timestamp() - make_interval(days => case status when 'failed' then ${keptDays.failed}::int else ${keptDays.delivered}::int end)
      order by finished_at limit ${deliveriesPerBatch})`;
  return removed.count === deliveriesPerBatch;
}
