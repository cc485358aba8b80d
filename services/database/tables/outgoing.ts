import { sql } from 'drizzle-orm';
import { bigint, boolean, index, integer, jsonb, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { Attempt, OutgoingStatus } from '#schemas/outgoing.ts';
import type { SetWebhook } from '#schemas/webhook.ts';
import { bytea, instant, kos, workspaceId } from './columns.ts';

/** Programs outside that are told of events. */
export const webhooks = kos.table(
  'webhooks',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    definition: jsonb('definition').$type<SetWebhook>().notNull(),
    enabled: boolean('enabled').notNull().default(true),
    note: text('note'),
    /** Sealed. */
    secret: bytea('secret').notNull(),
    /** Signs, too, until `previous_until`. */
    previousSecret: bytea('previous_secret'),
    previousUntil: instant('previous_until'),
    /** Under whose present rights it is told, and what of them. */
    createdBy: text('created_by').notNull(),
    granted: jsonb('granted').$type<string[]>().notNull(),
    /** The sequencer's number of the last event that was looked at for it. */
    seenSeq: bigint('seen_seq', { mode: 'number' }).notNull(),
    version: integer('version').notNull().default(1),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [uniqueIndex('webhooks_name').on(table.workspaceId, table.name), index('webhooks_behind').on(table.seenSeq).where(sql`enabled`)],
);

/** What is sent to the outside: written in the transaction that moves its receiver's cursor, so that nothing is lost. */
export const outgoingDeliveries = kos.table(
  'outgoing_deliveries',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    /** The webhook that it goes to. */
    targetId: text('target_id').notNull(),
    eventId: text('event_id').notNull(),
    type: text('type').notNull(),
    runId: text('run_id'),
    /** As it is sent, byte by byte. */
    body: text('body').notNull(),
    status: text('status').$type<OutgoingStatus>().notNull().default('pending'),
    /** Each try, the first one first. */
    tries: jsonb('tries').$type<Attempt[]>().notNull().default([]),
    /** Why it is over without a try. */
    reason: text('reason'),
    redeliveredBy: text('redelivered_by'),
    nextAttemptAt: instant('next_attempt_at'),
    /** When somebody is to see to it that its workflow runs. */
    wakeAt: instant('wake_at').notNull().default(sql`clock_timestamp()`),
    createdAt: instant('created_at').notNull().default(sql`clock_timestamp()`),
    finishedAt: instant('finished_at'),
  },
  (table) => [
    uniqueIndex('outgoing_deliveries_once').on(table.targetId, table.eventId).where(sql`redelivered_by is null`),
    index('outgoing_deliveries_newest').on(table.targetId, table.createdAt.desc(), table.id.desc()),
    index('outgoing_deliveries_pending').on(table.wakeAt).where(sql`status = 'pending'`),
    index('outgoing_deliveries_by_run').on(table.runId),
    index('outgoing_deliveries_finished').on(table.finishedAt).where(sql`finished_at is not null`),
  ],
);
