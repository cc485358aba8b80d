import type { SystemDatabase } from '#services/database/connect.ts';

/** How long what has ended is kept, in days: long enough to look at, after something has gone wrong. */
const keptDays = 30;

/** Removes what lets nobody in any more, and counts that have run out. The audit log keeps that it was there. */
export async function pruneAccess({ sql }: SystemDatabase): Promise<void> {
  await sql`delete from kos.oidc_flows where expires_at < clock_timestamp()`;
  await sql`delete from kos.links where expires_at < clock_timestamp() - make_interval(days => ${keptDays})`;
  await sql`
    delete from kos.sessions where expires_at < clock_timestamp() - make_interval(days => ${keptDays}) or revoked_at < clock_timestamp() - make_interval(days => ${keptDays})
      or last_seen_at < clock_timestamp() - make_interval(days => ${keptDays})`;
  await sql`delete from kos.grants where least(expires_at, revoked_at) < clock_timestamp() - make_interval(days => ${keptDays})`;
  await sql`delete from kos.sign_in_failures where last_failed_at < clock_timestamp() - interval '2 days'`;
  // No window is longer than an hour: by then every bucket is full.
  await sql`delete from kos.rate_buckets where updated_at < clock_timestamp() - interval '2 hours'`;
}
