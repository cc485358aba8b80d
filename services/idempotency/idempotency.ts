import { createHash } from 'node:crypto';
import { KosError } from '#core/errors.ts';
import { canonicalJson } from '#core/expression/values.ts';
import type { Json } from '#schemas/json.ts';
import type { Database, Transaction, TransactionSql } from '#services/database/connect.ts';

/** One request that must take effect once. */
export interface IdempotencyScope {
  workspaceId: string;
  principalId: string;
  /** Method and path as they were called, so that one key on two approvals is two requests. */
  route: string;
  key: string;
  /** SHA-256 (hex) of the body's RFC 8785 form. */
  bodyDigest: string;
}

/** What the first request made: enough to build its answer again, nothing secret. */
export interface IdempotentEffect {
  status: number;
  reference: Json;
}

/** Thrown inside the transaction of a second effect, which it undoes: the first one has committed meanwhile. */
export class AlreadyTookEffect extends Error {
  readonly effect: IdempotentEffect;

  constructor(effect: IdempotentEffect) {
    super('The request with this idempotency key took effect before.');
    this.effect = effect;
  }
}

/** How long a key is kept, in hours; pruning removes older ones. */
export const idempotencyKeptHours = 24;

/** Reads `Idempotency-Key`, bare or quoted (an RFC 9651 string): both name the same key. Throws KosError `idempotency_key_missing` or `_invalid`. */
export function parseIdempotencyKey(header: string | undefined): string {
  const text = header?.trim() ?? '';
  if (text === '') {
    throw new KosError({
      code: 'idempotency_key_missing',
      message: 'This request needs the header Idempotency-Key: without one, a repeat after a lost answer could take effect twice.',
      fix: 'Send a fresh random value, e.g. a UUID, and the same one again when you repeat the request.',
      status: 400,
    });
  }
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1];
  const key = quoted === undefined ? text : quoted.replaceAll(/\\(["\\])/g, '$1');
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new KosError({ code: 'idempotency_key_invalid', message: 'Idempotency-Key must be 1 to 255 visible ASCII characters.', status: 400 });
  }
  return key;
}

/** Throws KosError `text_malformed`. */
export const digestBody = (body: unknown): string =>
  createHash('sha256')
    .update(canonicalJson((body ?? null) as Json))
    .digest('hex');

/**
 * What the request made before, or null when it is new. An equal one that is being worked on is waited for, or refused. Throws KosError
 * `idempotency_in_flight` (409) or `idempotency_key_reused` (422).
 */
export function findIdempotent(database: Database, scope: IdempotencyScope, inFlightIs: 'refused' | 'awaited' = 'refused'): Promise<IdempotentEffect | null> {
  return database.inWorkspace(scope.workspaceId, async ({ sql, commit }) => {
    // Statements of their own, for the second must see what the lock's last holder committed; sent together, in one round trip.
    const lock = inFlightIs === 'awaited' ? awaitLock(sql, scope) : sql<{ taken: boolean }[]>`select pg_try_advisory_xact_lock(${lockOf(sql, scope)}) as taken`;
    const [locked, found] = [lock.execute(), selectEffect(sql, scope).execute()];
    commit();
    const [[taken], rows] = await Promise.all([locked, found]);
    if (taken?.taken !== true) throw inFlight();
    return theEffect(rows, scope);
  });
}

/** Writes the key in the transaction of the effect, which holds the key's lock from here to its end. Throws AlreadyTookEffect, or KosError `idempotency_key_reused`. */
export async function recordIdempotent(transaction: Transaction, scope: IdempotencyScope, effect: IdempotentEffect): Promise<void> {
  const { sql } = transaction;
  // Waits, so that of many requests at once one surely gets through. A statement of its own: the next must see what the lock's last holder committed.
  const locked = awaitLock(sql, scope).execute();
  const written = sql`
    insert into kos.idempotency_keys (workspace_id, principal_id, route, key, body_digest, status, reference)
    values (${scope.workspaceId}, ${scope.principalId}, ${scope.route}, ${scope.key}, ${scope.bodyDigest}, ${effect.status}, ${sql.json(effect.reference)})
    on conflict (workspace_id, principal_id, route, key) do update
      set body_digest = excluded.body_digest, status = excluded.status, reference = excluded.reference, created_at = now()
      where idempotency_keys.created_at <= now() - make_interval(hours => ${idempotencyKeptHours})
    returning 1`.execute();
  const [, inserted] = await Promise.all([locked, written]);
  if (inserted.length > 0) return;
  const before = theEffect(await selectEffect(sql, scope), scope);
  if (before === null) throw new Error(`The idempotency key of ${scope.route} is there and cannot be seen.`);
  throw new AlreadyTookEffect(before);
}

const lockName = (scope: IdempotencyScope): string => JSON.stringify([scope.workspaceId, scope.principalId, scope.route, scope.key]);

const lockOf = (sql: TransactionSql, scope: IdempotencyScope) => sql`hashtextextended(${lockName(scope)}, 7)`;

const awaitLock = (sql: TransactionSql, scope: IdempotencyScope) => sql<{ taken: boolean }[]>`
  select true as taken from (select pg_advisory_xact_lock(${lockOf(sql, scope)})) lock`;

interface EffectRow {
  body_digest: string;
  status: number;
  reference: Json;
}

const selectEffect = (sql: TransactionSql, scope: IdempotencyScope) => sql<EffectRow[]>`
  select body_digest, status, reference from kos.idempotency_keys
  where workspace_id = ${scope.workspaceId} and principal_id = ${scope.principalId} and route = ${scope.route} and key = ${scope.key}
    and created_at > now() - make_interval(hours => ${idempotencyKeptHours})`;

function theEffect([row]: readonly EffectRow[], scope: IdempotencyScope): IdempotentEffect | null {
  if (row === undefined) return null;
  if (row.body_digest !== scope.bodyDigest) throw reused();
  return { status: row.status, reference: row.reference };
}

const inFlight = (): KosError =>
  new KosError({
    code: 'idempotency_in_flight',
    message: 'The same request, by its Idempotency-Key, is being worked on right now.',
    fix: 'Repeat it in a moment: you then get its answer.',
    status: 409,
    retryable: true,
  });

const reused = (): KosError =>
  new KosError({
    code: 'idempotency_key_reused',
    message: 'This Idempotency-Key was used within the last 24 hours for a request with another body.',
    fix: 'Use a fresh key for another request.',
    status: 422,
  });
