import { customType, pgSchema, text, timestamp } from 'drizzle-orm/pg-core';

export const kos = pgSchema('kos');

/** Binary, as Postgres `bytea`. */
export const bytea = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' });

export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: 'date', precision: 3 });

/** Every table but the installation's own carries it, and row security compares it with the transaction's workspace. */
export const workspaceId = () => text('workspace_id').notNull();
