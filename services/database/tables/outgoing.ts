import { sql } from 'drizzle-orm';
import { bigint, boolean, index, integer, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { PlanFailures } from '#core/channel/failures.ts';
import type { ChannelDefinition } from '#schemas/channel.ts';
import type { Attempt, OutgoingStatus } from '#schemas/outgoing.ts';
import type { SetWebhook } from '#schemas/webhook.ts';
import { bytea, instant, kos, workspaceId } from './columns.ts';

/** Of whoever is told of what happens. */
const told = {
  /** Under whose present rights it is told, and what of them. */
  createdBy: text('created_by').notNull(),
  granted: jsonb('granted').$type<string[]>().notNull(),
  /** The sequencer's number of the last event that was looked at for it. */
  seenSeq: bigint('seen_seq', { mode: 'number' }).notNull(),
  version: integer('version').notNull().default(1),
  createdAt: instant('created_at').notNull().default(sql`now()`),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
};

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
    ...told,
  },
  (table) => [uniqueIndex('webhooks_name').on(table.workspaceId, table.name), index('webhooks_behind').on(table.seenSeq).where(sql`enabled`)],
);

/** What is sent to the outside: written in the transaction that moves its receiver's cursor, so that nothing is lost. */
export const outgoingDeliveries = kos.table(
  'outgoing_deliveries',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    /** The webhook or the channel that it goes to. */
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

/** Where people are told of what they should see. */
export const channels = kos.table(
  'channels',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    definition: jsonb('definition').$type<ChannelDefinition>().notNull(),
    /** Sealed: whoever knows it may write there. */
    url: bytea('url').notNull(),
    host: text('host').notNull(),
    enabled: boolean('enabled').notNull().default(true),
    note: text('note'),
    ...told,
  },
  (table) => [uniqueIndex('channels_name').on(table.workspaceId, table.name), index('channels_behind').on(table.seenSeq).where(sql`enabled`)],
);

/** What a channel remembers of a plan's failures: which people were told of, and which are kept for a digest. */
export const channelFailures = kos.table(
  'channel_failures',
  {
    workspaceId: workspaceId(),
    channelId: text('channel_id').notNull(),
    planName: text('plan_name').notNull(),
    state: jsonb('state').$type<PlanFailures>().notNull(),
    /** When its digest is due; null: there is nothing to tell. */
    digestAt: instant('digest_at'),
  },
  (table) => [primaryKey({ columns: [table.channelId, table.planName] }), index('channel_failures_due').on(table.digestAt).where(sql`digest_at is not null`)],
);
