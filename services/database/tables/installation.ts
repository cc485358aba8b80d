import { sql } from 'drizzle-orm';
import { bigint, boolean, index, integer, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { Json, JsonObject } from '#schemas/json.ts';
import { bytea, instant, kos } from './columns.ts';

/** People, agents and services. The installation's own: a person may belong to several workspaces. */
export const principals = kos.table(
  'principals',
  {
    id: text('id').primaryKey(),
    kind: text('kind').notNull().$type<'user' | 'agent' | 'service' | 'peer'>(),
    name: text('name').notNull(),
    publicKey: text('public_key').notNull(),
    disabledAt: instant('disabled_at'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    /** What a person types to sign in, in lower case, usually an e-mail address; null: none was chosen yet. */
    login: text('login'),
    /** What reaches beyond workspaces; null: nothing. */
    installationRole: text('installation_role').$type<'owner'>(),
    /** The person's own, of their clients: kOS reads nothing from it. */
    preferences: jsonb('preferences').notNull().$type<JsonObject>().default({}),
  },
  (table) => [uniqueIndex('principals_login').on(table.login)],
);

/** API keys; only the SHA-256 of the secret is kept. */
export const credentials = kos.table(
  'credentials',
  {
    id: text('id').primaryKey(),
    principalId: text('principal_id')
      .notNull()
      .references(() => principals.id),
    workspaceId: text('workspace_id').notNull(),
    kind: text('kind').notNull().$type<'api_key' | 'owner_key'>(),
    secretHash: bytea('secret_hash').notNull(),
    /** Permissions of this key; null: all that its owner has. */
    scopes: jsonb('scopes').$type<string[]>(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    expiresAt: instant('expires_at'),
    revokedAt: instant('revoked_at'),
    /** What its owner calls it. */
    name: text('name').notNull().default(''),
    /** The part of the key that is no secret; null: made before it was kept. */
    publicId: text('public_id'),
    /** To the minute. */
    lastUsedAt: instant('last_used_at'),
  },
  (table) => [uniqueIndex('credentials_secret').on(table.secretHash), index('credentials_by_principal').on(table.principalId)],
);

export const installationSettings = kos.table('installation_settings', {
  key: text('key').primaryKey(),
  value: jsonb('value').$type<Json>().notNull(),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
});

/** One row: the next numbers, and the frontier of the audit tree (RFC 9162) as concatenated 32-byte hashes, left to right. */
export const sequencer = kos.table('sequencer', {
  id: integer('id').primaryKey(),
  epoch: text('epoch').notNull(),
  lastEventSeq: bigint('last_event_seq', { mode: 'number' }).notNull(),
  auditSize: bigint('audit_size', { mode: 'number' }).notNull(),
  auditFrontier: bytea('audit_frontier').notNull(),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
});

/** Signed tree heads. */
export const checkpoints = kos.table('checkpoints', {
  size: bigint('size', { mode: 'number' }).primaryKey(),
  root: bytea('root').notNull(),
  note: text('note').notNull(),
  createdAt: instant('created_at').notNull().default(sql`now()`),
});

export const workspaces = kos.table(
  'workspaces',
  {
    workspaceId: text('workspace_id').primaryKey(),
    slug: text('slug').notNull(),
    name: text('name').notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    /** Since when no new run starts; null: they do. */
    startsHeldAt: instant('starts_held_at'),
    startsHeldBy: text('starts_held_by'),
    startsHeldReason: text('starts_held_reason'),
    /** The highest number of an event that retention has removed: a reader who stands before it may have missed some. */
    eventsPrunedTo: bigint('events_pruned_to', { mode: 'number' }).notNull().default(0),
  },
  (table) => [uniqueIndex('workspaces_slug').on(table.slug)],
);

export const memberships = kos.table(
  'memberships',
  {
    workspaceId: text('workspace_id').notNull(),
    principalId: text('principal_id')
      .notNull()
      .references(() => principals.id),
    roles: jsonb('roles').$type<string[]>().notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    disabled: boolean('disabled').notNull().default(false),
  },
  (table) => [primaryKey({ columns: [table.workspaceId, table.principalId] })],
);
