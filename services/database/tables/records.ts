import { sql } from 'drizzle-orm';
import { bigint, bigserial, boolean, index, integer, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { EventType } from '#schemas/event.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { WorkspaceSettings } from '#schemas/settings.ts';
import { bytea, instant, kos, workspaceId } from './columns.ts';

/** Inserted without a position; the sequencer gives `seq`, the only order that readers use. */
export const events = kos.table(
  'events',
  {
    id: text('id').primaryKey(),
    /** Insertion order, for the sequencer alone. */
    inserted: bigserial('inserted', { mode: 'number' }).notNull(),
    workspaceId: workspaceId(),
    runId: text('run_id'),
    type: text('type').$type<EventType>().notNull(),
    at: instant('at').notNull().default(sql`clock_timestamp()`),
    data: jsonb('data').$type<JsonObject>().notNull(),
    seq: bigint('seq', { mode: 'number' }),
  },
  (table) => [
    index('events_unsequenced').on(table.inserted).where(sql`seq is null`),
    uniqueIndex('events_seq').on(table.seq).where(sql`seq is not null`),
    index('events_by_run').on(table.runId, table.seq),
    index('events_by_workspace').on(table.workspaceId, table.seq),
  ],
);

/** One entry of the log: who did what to what. Its leaf hash and index come from the sequencer. */
export const auditEntries = kos.table(
  'audit_entries',
  {
    id: text('id').primaryKey(),
    inserted: bigserial('inserted', { mode: 'number' }).notNull(),
    workspaceId: workspaceId(),
    at: instant('at').notNull().default(sql`clock_timestamp()`),
    actor: text('actor').notNull(),
    action: text('action').notNull(),
    subject: text('subject').notNull(),
    data: jsonb('data').$type<JsonObject>().notNull(),
    leafIndex: bigint('leaf_index', { mode: 'number' }),
    leafHash: bytea('leaf_hash'),
  },
  (table) => [
    index('audit_unsequenced').on(table.inserted).where(sql`leaf_index is null`),
    uniqueIndex('audit_leaf').on(table.leafIndex).where(sql`leaf_index is not null`),
    index('audit_by_subject').on(table.workspaceId, table.subject),
  ],
);

/**
 * Text of model calls that are under way, on its way from worker to API. Its migration makes it `unlogged`: it is no part of the record, costs no flush, and is
 * empty after a crash of the server.
 */
export const modelDeltas = kos.table(
  'model_deltas',
  {
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    attempt: integer('attempt').notNull(),
    /** The fence of the step's row when it was taken: tells calls of one step apart. */
    call: bigint('call', { mode: 'number' }).notNull(),
    /** Characters of the call's text before this piece. */
    place: integer('place').notNull(),
    /** And after it. Counted as JavaScript counts, not as Postgres does. */
    until: integer('until').notNull(),
    text: text('text').notNull(),
    /** Nothing comes after it. */
    ended: boolean('ended').notNull(),
    at: instant('at').notNull().default(sql`clock_timestamp()`),
  },
  (table) => [primaryKey({ columns: [table.workspaceId, table.runId, table.stepPath, table.call, table.place] })],
);

export const artifacts = kos.table(
  'artifacts',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    /** The run and step that wrote it. */
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    name: text('name').notNull(),
    mediaType: text('media_type').notNull(),
    sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
    /** SHA-256 of the content, hex: where the store keeps it. */
    sha256: text('sha256').notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [
    index('artifacts_newest').on(table.workspaceId, table.createdAt.desc(), table.id.desc()),
    uniqueIndex('artifacts_by_step').on(table.runId, table.stepPath),
    index('artifacts_by_content').on(table.workspaceId, table.sha256),
  ],
);

/** Runs that refer to an artifact, the one that wrote it included: it stays until the last of them goes. */
export const artifactReferences = kos.table(
  'artifact_references',
  {
    workspaceId: workspaceId(),
    artifactId: text('artifact_id').notNull(),
    runId: text('run_id').notNull(),
  },
  (table) => [primaryKey({ columns: [table.artifactId, table.runId] }), index('artifact_references_by_run').on(table.runId)],
);

export const secrets = kos.table(
  'secrets',
  {
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    sealed: bytea('sealed').notNull(),
    /** Hosts it may be sent to, lower case. */
    hosts: jsonb('hosts').$type<string[]>().notNull(),
    version: integer('version').notNull().default(1),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    updatedAt: instant('updated_at').notNull().default(sql`now()`),
  },
  (table) => [primaryKey({ columns: [table.workspaceId, table.name] })],
);

export const settings = kos.table('settings', {
  workspaceId: text('workspace_id').primaryKey(),
  value: jsonb('value').$type<WorkspaceSettings>().notNull(),
  version: integer('version').notNull().default(1),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
  updatedBy: text('updated_by').notNull(),
});

/** A request that must take effect once; the answer is rebuilt from what it made. Kept 24 h. */
export const idempotencyKeys = kos.table(
  'idempotency_keys',
  {
    workspaceId: workspaceId(),
    principalId: text('principal_id').notNull(),
    route: text('route').notNull(),
    key: text('key').notNull(),
    /** SHA-256 of the RFC 8785 form of the body, hex. */
    bodyDigest: text('body_digest').notNull(),
    status: integer('status').notNull(),
    /** What it made, enough to rebuild the answer. */
    reference: jsonb('reference').$type<Json>().notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [primaryKey({ columns: [table.workspaceId, table.principalId, table.route, table.key] }), index('idempotency_keys_age').on(table.createdAt)],
);
