import { sql } from 'drizzle-orm';
import { boolean, index, integer, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { OverlapPolicy, SetSchedule, StartStatus } from '#schemas/schedule.ts';
import { instant, kos, workspaceId } from './columns.ts';

/** What starts runs by the clock. Temporal has a Schedule of the same id, made from this row: what stands here holds. */
export const schedules = kos.table(
  'schedules',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    /** Without version: the newest at each start. */
    planName: text('plan_name').notNull(),
    definition: jsonb('definition').$type<SetSchedule>().notNull(),
    paused: boolean('paused').notNull().default(false),
    note: text('note'),
    /** Null: without end. */
    runsLeft: integer('runs_left'),
    /** Under whose present rights it acts, and what of them. */
    createdBy: text('created_by').notNull(),
    granted: jsonb('granted').$type<string[]>().notNull(),
    /** Raised by every change; Temporal has been told of `synced_version`. */
    version: integer('version').notNull().default(1),
    syncedVersion: integer('synced_version').notNull().default(0),
    syncError: text('sync_error'),
    syncAfter: instant('sync_after').notNull().default(sql`now()`),
    /** Starts due up to here are accounted for. */
    watchedAt: instant('watched_at').notNull().default(sql`now()`),
    /** Since when a start that was due has been looked for; null: none is. */
    suspectSince: instant('suspect_since'),
    /** Temporal's own counts as they were last seen. */
    countedMissed: integer('counted_missed').notNull().default(0),
    countedSkipped: integer('counted_skipped').notNull().default(0),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
    /** It goes when Temporal has forgotten it, too. */
    deletedAt: instant('deleted_at'),
  },
  (table) => [
    uniqueIndex('schedules_name').on(table.workspaceId, table.name).where(sql`deleted_at is null`),
    index('schedules_unsynced').on(table.syncAfter).where(sql`synced_version < version`),
    index('schedules_by_plan').on(table.workspaceId, table.planName),
  ],
);

/** One time for which a schedule was due, and what came of it. Its key keeps a time from being taken twice. */
export const scheduleStarts = kos.table(
  'schedule_starts',
  {
    workspaceId: workspaceId(),
    scheduleId: text('schedule_id').notNull(),
    nominalAt: instant('nominal_at').notNull(),
    /** Empty: by the clock. */
    orderId: text('order_id').notNull().default(''),
    kind: text('kind').$type<'regular' | 'manual' | 'backfill'>().notNull(),
    status: text('status').$type<StartStatus>().notNull(),
    reason: text('reason'),
    runId: text('run_id'),
    /** The workflow execution that took it. */
    wrapper: text('wrapper'),
    at: instant('at').notNull().default(sql`now()`),
  },
  (table) => [
    primaryKey({ columns: [table.scheduleId, table.nominalAt, table.orderId] }),
    index('schedule_starts_newest').on(table.scheduleId, table.at.desc()),
    index('schedule_starts_by_run').on(table.runId).where(sql`run_id is not null`),
  ],
);

/** What people ask of a schedule beyond its clock: run now, backfill. Told to Temporal once. */
export const scheduleOrders = kos.table(
  'schedule_orders',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    scheduleId: text('schedule_id').notNull(),
    kind: text('kind').$type<'manual' | 'backfill'>().notNull(),
    overlap: text('overlap').$type<OverlapPolicy>().notNull(),
    /** Of a backfill; of a run now both are its nominal time. */
    fromAt: instant('from_at').notNull(),
    toAt: instant('to_at').notNull(),
    orderedBy: text('ordered_by').notNull(),
    responsible: text('responsible').notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    sentAt: instant('sent_at'),
  },
  (table) => [index('schedule_orders_unsent').on(table.createdAt).where(sql`sent_at is null`), index('schedule_orders_by_schedule').on(table.scheduleId)],
);
