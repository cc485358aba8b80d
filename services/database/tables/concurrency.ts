import { sql } from 'drizzle-orm';
import { bigserial, index, integer, jsonb, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { JsonObject } from '#schemas/json.ts';
import { instant, kos, workspaceId } from './columns.ts';

/**
 * Runs of plans that bound how many of them are open at once: who holds a slot, and who waits for one, in the order of `id`. A row goes when its run is
 * closed, in that statement: a trigger on `kos.runs`.
 */
export const concurrencySlots = kos.table(
  'concurrency_slots',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    workspaceId: workspaceId(),
    planName: text('plan_name').notNull(),
    key: text('key').notNull(),
    runId: text('run_id').notNull(),
    /** How many its own plan version lets be open at once. */
    slots: integer('slots').notNull(),
    /** Null: it waits. */
    heldAt: instant('held_at'),
    /** Payload of the order to start, which is written when it is its turn. */
    startOrder: jsonb('start_order').$type<JsonObject>().notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    uniqueIndex('concurrency_slots_run').on(table.runId),
    index('concurrency_slots_line').on(table.workspaceId, table.planName, table.key, table.id),
    index('concurrency_slots_waiting').on(table.id).where(sql`held_at is null`),
  ],
);
