import { sql } from 'drizzle-orm';
import { boolean, integer, json, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { JsonObject } from '#schemas/json.ts';
import type { PlanShape } from '#schemas/shape.ts';
import { instant, kos, workspaceId } from './columns.ts';

export const plans = kos.table(
  'plans',
  {
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    latestVersion: integer('latest_version').notNull(),
    archived: boolean('archived').notNull().default(false),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [primaryKey({ columns: [table.workspaceId, table.name] })],
);

/** Immutable; addressed by the SHA-256 of its RFC 8785 form. */
export const planVersions = kos.table(
  'plan_versions',
  {
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    version: integer('version').notNull(),
    digest: text('digest').notNull(),
    /** As it was written, comments included. */
    source: text('source').notNull(),
    /** As `json`: the order of its steps is their numbering. */
    document: json('document').$type<JsonObject>().notNull(),
    shape: jsonb('shape').$type<PlanShape>().notNull(),
    createdBy: text('created_by').notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    primaryKey({ columns: [table.workspaceId, table.name, table.version] }),
    uniqueIndex('plan_versions_digest').on(table.workspaceId, table.name, table.digest),
  ],
);
