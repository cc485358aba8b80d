import { sql } from 'drizzle-orm';
import { index, integer, jsonb, primaryKey, text } from 'drizzle-orm/pg-core';
import type { BulkAction, JobItemStatus, JobStatus } from '#schemas/job.ts';
import { instant, kos, workspaceId } from './columns.ts';

/** One action on many runs: bound to the ids that were found, worked off by a duty. */
export const jobs = kos.table(
  'jobs',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    action: jsonb('action').$type<BulkAction>().notNull(),
    /** What the runs were found by, for the record. */
    filter: jsonb('filter').notNull(),
    status: text('status').$type<JobStatus>().notNull(),
    total: integer('total').notNull(),
    createdBy: text('created_by').notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
  },
  (table) => [
    index('jobs_newest').on(table.workspaceId, table.createdAt.desc(), table.id.desc()),
    index('jobs_running').on(table.id).where(sql`status = 'running'`),
  ],
);

export const jobItems = kos.table(
  'job_items',
  {
    workspaceId: workspaceId(),
    jobId: text('job_id').notNull(),
    /** In the order in which the runs were found. */
    position: integer('position').notNull(),
    runId: text('run_id').notNull(),
    status: text('status').$type<JobItemStatus>().notNull().default('pending'),
    /** Why it was refused. */
    code: text('code'),
    message: text('message'),
    at: instant('at'),
  },
  (table) => [
    primaryKey({ columns: [table.jobId, table.position] }),
    index('job_items_pending').on(table.jobId, table.position).where(sql`status = 'pending'`),
  ],
);
