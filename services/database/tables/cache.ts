import { sql } from 'drizzle-orm';
import { index, primaryKey, text } from 'drizzle-orm/pg-core';
import { instant, kos, workspaceId } from './columns.ts';

/** Which step to ask for an output, by a digest of all that it hangs on. The output stays in that step's row: an entry goes with its run. */
export const cacheEntries = kos.table(
  'cache_entries',
  {
    workspaceId: workspaceId(),
    /** SHA-256 in hex, see `core/plan/cache-key.ts`. */
    key: text('key').notNull(),
    planName: text('plan_name').notNull(),
    /** The run and step whose output it is. */
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    createdAt: instant('created_at').notNull().default(sql`clock_timestamp()`),
    /** By what the plan of that step said; whoever asks may want a younger one. */
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.workspaceId, table.key] }),
    index('cache_entries_by_run').on(table.runId),
    index('cache_entries_by_plan').on(table.workspaceId, table.planName),
    index('cache_entries_by_expiry').on(table.expiresAt),
  ],
);
