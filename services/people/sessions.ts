import { KosError } from '#core/errors.ts';
import type { Session, SessionMethod } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { newRandomToken } from '#services/identity/random-token.ts';
import { recordForPerson } from './record-for-person.ts';

/** A session that nobody uses ends after this, in hours. */
const idleHours = 12;
/** A session ends after this whatever happens, in days. */
export const absoluteDays = 30;
/** How long the token of before is still good once a session got another, in seconds: for requests that were on their way. */
const graceSeconds = 30;
/** `last_seen_at` is written at most so often, in seconds: a read must not cost a write. */
const seenEverySeconds = 60;

export interface OpenedSession {
  sessionId: string;
  /** For the cookie; never stored. */
  token: string;
}

/** A new session with a new id, in the transaction of what proved who they are. */
export async function openSession(
  sql: TransactionSql,
  person: { principalId: string; method: SessionMethod; userAgent: string | undefined },
): Promise<OpenedSession> {
  const { token, tokenHash } = newRandomToken();
  const sessionId = newId('session');
  await sql`
    insert into kos.sessions (id, principal_id, token_hash, method, user_agent, expires_at)
    values (${sessionId}, ${person.principalId}, ${tokenHash}, ${person.method}, ${(person.userAgent ?? '').slice(0, 300)},
      clock_timestamp() + make_interval(days => ${absoluteDays}))`;
  const { principalId, method } = person;
  await recordForPerson(sql, { principalId, actor: principalId, action: 'session.open', subject: sessionId, data: { method } });
  return { sessionId, token };
}

export interface FoundSession {
  sessionId: string;
  principalId: string;
  /** The person's roles have changed: this session is to get a new token. */
  renew: boolean;
}

/** Null: unknown, revoked, idle for too long, or too old. Notes that it is in use. */
export async function findSession({ sql }: SystemDatabase, tokenHash: Buffer): Promise<FoundSession | null> {
  const [row] = await sql<{ id: string; principal_id: string; renew: boolean; current: boolean; stale: boolean }[]>`
    select id, principal_id, renew, token_hash = ${tokenHash} as current,
      last_seen_at < clock_timestamp() - make_interval(secs => ${seenEverySeconds}) as stale
    from kos.sessions
    where (token_hash = ${tokenHash} or (previous_hash = ${tokenHash} and previous_until > clock_timestamp()))
      and revoked_at is null and expires_at > clock_timestamp() and last_seen_at > clock_timestamp() - make_interval(hours => ${idleHours})`;
  if (row === undefined) return null;
  if (row.stale) await sql`update kos.sessions set last_seen_at = clock_timestamp() where id = ${row.id}`;
  return { sessionId: row.id, principalId: row.principal_id, renew: row.renew && row.current };
}

/** Whether a session that was found is still good; asked again and again while a stream is open. An open stream is use. */
export async function isSessionOpen({ sql }: SystemDatabase, sessionId: string): Promise<boolean> {
  const [row] = await sql<{ stale: boolean }[]>`
    select last_seen_at < clock_timestamp() - make_interval(secs => ${seenEverySeconds}) as stale from kos.sessions
    where id = ${sessionId} and revoked_at is null and expires_at > clock_timestamp() and last_seen_at > clock_timestamp() - make_interval(hours => ${idleHours})`;
  if (row?.stale === true) await sql`update kos.sessions set last_seen_at = clock_timestamp() where id = ${sessionId}`;
  return row !== undefined;
}

/** Null: another request of the same session was faster. */
export async function renewSession({ sql }: SystemDatabase, sessionId: string): Promise<string | null> {
  const { token, tokenHash } = newRandomToken();
  const renewed = await sql`
    update kos.sessions set previous_hash = token_hash, previous_until = clock_timestamp() + make_interval(secs => ${graceSeconds}),
      token_hash = ${tokenHash}, renew = false
    where id = ${sessionId} and renew returning id`;
  return renewed.length === 0 ? null : token;
}

/** After a change of somebody's roles, in its transaction: each of their sessions gets a new token at its next request. */
export async function markForRenewal(sql: TransactionSql, principalId: string): Promise<void> {
  await sql`update kos.sessions set renew = true where principal_id = ${principalId} and revoked_at is null`;
}

interface SessionRow {
  id: string;
  method: SessionMethod;
  user_agent: string;
  created_at: Date;
  last_seen_at: Date;
  expires_at: Date;
}

/** Open ones only, the one used last first. */
export async function listSessions({ sql }: SystemDatabase, principalId: string, currentId: string): Promise<Session[]> {
  const rows = await sql<SessionRow[]>`
    select id, method, user_agent, created_at, last_seen_at, least(expires_at, last_seen_at + make_interval(hours => ${idleHours})) as expires_at
    from kos.sessions
    where principal_id = ${principalId} and revoked_at is null and expires_at > clock_timestamp()
      and last_seen_at > clock_timestamp() - make_interval(hours => ${idleHours})
    order by last_seen_at desc, id desc limit 200`;
  return rows.map((row) => ({
    id: row.id,
    method: row.method,
    userAgent: row.user_agent,
    createdAt: row.created_at.toISOString(),
    lastSeenAt: row.last_seen_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    current: row.id === currentId,
  }));
}

/** One's own only. Throws KosError `session_not_found`. */
export function revokeSession({ sql: system }: SystemDatabase, principalId: string, sessionId: string): Promise<void> {
  return system.begin(async (sql) => {
    const revoked = await sql`
      update kos.sessions set revoked_at = clock_timestamp() where id = ${sessionId} and principal_id = ${principalId} and revoked_at is null returning id`;
    if (revoked.length === 0)
      throw new KosError({ code: 'session_not_found', message: `You have no open session ${sessionId}.`, fix: 'GET /v1/me/sessions', status: 404 });
    await recordForPerson(sql, { principalId, actor: principalId, action: 'session.revoke', subject: sessionId, data: {} });
  });
}

/** All of a person's sessions but one, in the transaction of what makes them doubtful. */
export async function revokeOtherSessions(sql: TransactionSql, principalId: string, keptId: string | null): Promise<void> {
  await sql`
    update kos.sessions set revoked_at = clock_timestamp() where principal_id = ${principalId} and revoked_at is null and id is distinct from ${keptId}`;
}
