import { sql } from 'drizzle-orm';
import { boolean, doublePrecision, index, integer, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { bytea, instant, kos } from './columns.ts';
import { principals } from './installation.ts';

/** All of these are the installation's own: they are read before a workspace is known. Secrets are kept as hashes. */

const principalId = () =>
  text('principal_id')
    .notNull()
    .references(() => principals.id);

const createdAt = () => instant('created_at').notNull().default(sql`now()`);

/** Argon2id, as a PHC string. */
export const passwords = kos.table('passwords', {
  principalId: principalId().primaryKey(),
  hash: text('hash').notNull(),
  updatedAt: instant('updated_at').notNull().default(sql`now()`),
});

/** How often signing in to an account has failed in a row. Keyed by the SHA-256 of the login that was typed, whether or not it exists. */
export const signInFailures = kos.table('sign_in_failures', {
  account: text('account').primaryKey(),
  failures: integer('failures').notNull(),
  lastFailedAt: instant('last_failed_at').notNull(),
});

/** One-time links: to sign in, to accept an invitation, to set a new password. */
export const links = kos.table(
  'links',
  {
    id: text('id').primaryKey(),
    kind: text('kind').notNull().$type<'sign_in' | 'invitation' | 'reset'>(),
    tokenHash: bytea('token_hash').notNull(),
    /** Whom it signs in, or whose password it sets; null for invitations. */
    principalId: text('principal_id').references(() => principals.id),
    /** Of invitations: where to, under which login, with which roles. */
    workspaceId: text('workspace_id'),
    login: text('login'),
    roles: jsonb('roles').$type<string[]>(),
    createdBy: text('created_by').notNull(),
    createdAt: createdAt(),
    expiresAt: instant('expires_at').notNull(),
    spentAt: instant('spent_at'),
    revokedAt: instant('revoked_at'),
  },
  (table) => [uniqueIndex('links_token').on(table.tokenHash), index('links_by_workspace').on(table.workspaceId)],
);

/** Sessions of browsers. */
export const sessions = kos.table(
  'sessions',
  {
    id: text('id').primaryKey(),
    principalId: principalId(),
    tokenHash: bytea('token_hash').notNull(),
    /** What the token was before; still good for a moment, for requests that were on their way. */
    previousHash: bytea('previous_hash'),
    previousUntil: instant('previous_until'),
    /** The next request gets a new token: the person's roles have changed. */
    renew: boolean('renew').notNull().default(false),
    method: text('method').notNull().$type<'link' | 'invitation' | 'reset' | 'password' | 'oidc'>(),
    userAgent: text('user_agent').notNull(),
    createdAt: createdAt(),
    lastSeenAt: instant('last_seen_at').notNull().default(sql`now()`),
    expiresAt: instant('expires_at').notNull(),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    uniqueIndex('sessions_token').on(table.tokenHash),
    index('sessions_previous').on(table.previousHash).where(sql`previous_hash is not null`),
    index('sessions_by_principal').on(table.principalId),
  ],
);

/** Who somebody is at an OpenID provider: issuer and subject, never an e-mail address. */
export const identities = kos.table(
  'identities',
  { issuer: text('issuer').notNull(), subject: text('subject').notNull(), principalId: principalId(), createdAt: createdAt() },
  (table) => [primaryKey({ columns: [table.issuer, table.subject] }), index('identities_by_principal').on(table.principalId)],
);

/** Sign-ins that are at the OpenID provider right now. */
export const oidcFlows = kos.table('oidc_flows', {
  stateHash: bytea('state_hash').primaryKey(),
  /** The browser that began it: nobody else may end it. */
  browserHash: bytea('browser_hash').notNull(),
  nonce: text('nonce').notNull(),
  codeVerifier: text('code_verifier').notNull(),
  /** The invitation that it is to be spent for; null: none. */
  linkHash: bytea('link_hash'),
  /** The signed-in person to whom the identity is to be added; null: nobody yet. */
  principalId: text('principal_id').references(() => principals.id),
  expiresAt: instant('expires_at').notNull(),
});

/** What `tokens: true` at sign-in gives: a line of refresh tokens, ended as a whole. */
export const grants = kos.table(
  'grants',
  {
    id: text('id').primaryKey(),
    principalId: principalId(),
    workspaceId: text('workspace_id').notNull(),
    createdAt: createdAt(),
    expiresAt: instant('expires_at').notNull(),
    revokedAt: instant('revoked_at'),
    revokedBecause: text('revoked_because').$type<'logout' | 'reuse' | 'password' | 'revoked'>(),
  },
  (table) => [index('grants_by_principal').on(table.principalId)],
);

/** Each is good once; a used one that comes back ends its grant. */
export const refreshTokens = kos.table(
  'refresh_tokens',
  {
    tokenHash: bytea('token_hash').primaryKey(),
    grantId: text('grant_id')
      .notNull()
      .references(() => grants.id, { onDelete: 'cascade' }),
    createdAt: createdAt(),
    usedAt: instant('used_at'),
  },
  (table) => [index('refresh_tokens_by_grant').on(table.grantId)],
);

/** Token buckets of the rate limits; replicas draw from them in batches. Unlogged (see its migration): a crash fills them. */
export const rateBuckets = kos.table('rate_buckets', {
  key: text('key').primaryKey(),
  tokens: doublePrecision('tokens').notNull(),
  updatedAt: instant('updated_at').notNull(),
});
