import { sql } from 'drizzle-orm';
import { boolean, index, integer, jsonb, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { DeliveryStatus, SetTrigger } from '#schemas/trigger.ts';
import { bytea, instant, kos, workspaceId } from './columns.ts';

/** What starts runs when somebody outside says so. */
export const triggers = kos.table(
  'triggers',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    planName: text('plan_name').notNull(),
    definition: jsonb('definition').$type<SetTrigger>().notNull(),
    enabled: boolean('enabled').notNull().default(true),
    note: text('note'),
    /** Sealed; null: its sender is known by public keys alone. */
    secret: bytea('secret'),
    /** Good until `previous_until`, too. */
    previousSecret: bytea('previous_secret'),
    previousUntil: instant('previous_until'),
    /** Under whose present rights it acts, and what of them. */
    createdBy: text('created_by').notNull(),
    granted: jsonb('granted').$type<string[]>().notNull(),
    version: integer('version').notNull().default(1),
    refused: integer('refused').notNull().default(0),
    refusedAt: instant('refused_at'),
    refusedReason: text('refused_reason'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [uniqueIndex('triggers_name').on(table.workspaceId, table.name), index('triggers_by_plan').on(table.workspaceId, table.planName)],
);

/** What was delivered, for 7 days. */
export const triggerDeliveries = kos.table(
  'trigger_deliveries',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    triggerId: text('trigger_id').notNull(),
    status: text('status').$type<DeliveryStatus>().notNull(),
    reason: text('reason'),
    /** By which equal ones are known; null: by nothing. */
    key: text('key'),
    duplicateOf: text('duplicate_of'),
    runId: text('run_id'),
    redeliveredBy: text('redelivered_by'),
    /** Headers and body, sealed. */
    content: bytea('content').notNull(),
    bytes: integer('bytes').notNull(),
    receivedAt: instant('received_at').notNull().default(sql`now()`),
  },
  (table) => [
    // Of equal deliveries one is taken up.
    uniqueIndex('trigger_deliveries_key').on(table.triggerId, table.key).where(sql`key is not null and status in ('accepted', 'ignored')`),
    index('trigger_deliveries_newest').on(table.triggerId, table.receivedAt.desc(), table.id.desc()),
    index('trigger_deliveries_old').on(table.receivedAt),
  ],
);
