import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Profile } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { hashPassword, passwordMatches } from './passwords.ts';
import { recordForPerson } from './record-for-person.ts';
import { revokeOtherSessions } from './sessions.ts';

export async function readProfile(sql: SystemDatabase['sql'] | TransactionSql, principalId: string): Promise<Profile> {
  const [row] = await sql<{ name: string; login: string | null; has: boolean }[]>`
    select p.name, p.login, w.principal_id is not null as has from kos.principals p left join kos.passwords w on w.principal_id = p.id where p.id = ${principalId}`;
  if (row === undefined) throw new Error(`The principal ${principalId} signed in but is not there.`);
  return { id: principalId, name: row.name, login: row.login, hasPassword: row.has };
}

export function renamePerson({ sql: system }: SystemDatabase, { principalId }: Principal, name: string): Promise<Profile> {
  return system.begin(async (sql) => {
    await sql`update kos.principals set name = ${name} where id = ${principalId}`;
    await recordForPerson(sql, { principalId, actor: principalId, action: 'person.rename', subject: principalId, data: { name } });
    return readProfile(sql, principalId);
  });
}

export interface Preferences {
  preferences: JsonObject;
  /** SHA-256 of them as Postgres writes them, in hex: says whether they are still what a client read. */
  digest: string;
}

const digestOfPreferences = (sql: SystemDatabase['sql']) => sql`encode(sha256(convert_to(preferences::text, 'UTF8')), 'hex')`;

export async function readPreferences({ sql }: SystemDatabase, principalId: string): Promise<Preferences> {
  const [row] = await sql<Preferences[]>`select preferences, ${digestOfPreferences(sql)} as digest from kos.principals where id = ${principalId}`;
  if (row === undefined) throw new Error(`The principal ${principalId} signed in but is not there.`);
  return row;
}

/**
 * `readDigest`: of what the change was made on; null: whatever they are. The client's own business, so it is no matter for the log. Throws KosError
 * `preferences_changed` (412), but not where they are already what they shall be: a client repeats what it got no answer to.
 */
export async function writePreferences(
  { sql }: SystemDatabase,
  principalId: string,
  { preferences, readDigest }: { preferences: JsonObject; readDigest: string | null },
): Promise<Preferences> {
  const [row] = await sql<Preferences[]>`
    update kos.principals set preferences = ${sql.json(preferences)}
    where id = ${principalId} and (${readDigest}::text is null or ${digestOfPreferences(sql)} = ${readDigest} or preferences = ${sql.json(preferences)})
    returning preferences, ${digestOfPreferences(sql)} as digest`;
  if (row === undefined) throw preferencesChanged();
  return row;
}

const preferencesChanged = (): KosError =>
  new KosError({
    code: 'preferences_changed',
    message: 'Another client changed your preferences after this one read them.',
    fix: 'Read them again, then repeat the change on what they are now.',
    status: 412,
  });

export interface PasswordChange {
  /** Needed where there is a password already. */
  currentPassword?: string | undefined;
  password: string;
  /** Needed where there is none yet. */
  login?: string | undefined;
}

/** Ends every session and token but the one that asks. Throws KosError `password_wrong` (403), `login_missing` (400), `login_taken` (409). */
export async function changePassword({ sql: system }: SystemDatabase, principal: Principal, change: PasswordChange): Promise<Profile> {
  const { principalId } = principal;
  const [known] = await system<{ hash: string }[]>`select hash from kos.passwords where principal_id = ${principalId}`;
  if (known !== undefined && !(await passwordMatches(change.currentPassword ?? '', known.hash))) throw passwordWrong();
  const hash = await hashPassword(change.password);
  return system.begin(async (sql) => {
    const { login } = await readProfile(sql, principalId);
    const wanted = change.login ?? login;
    if (wanted === null)
      throw new KosError({
        code: 'login_missing',
        message: 'You have no login to use a password with.',
        fix: 'Send login, too: usually your e-mail address.',
        status: 400,
      });
    await takeLogin(sql, principalId, wanted);
    await setPassword(sql, { principalId, hash, actor: principalId, keptSessionId: principal.via === 'session' ? principal.credentialId : null });
    return readProfile(sql, principalId);
  });
}

async function takeLogin(sql: TransactionSql, principalId: string, login: string): Promise<void> {
  const taken = await sql`select 1 from kos.principals where login = ${login} and id <> ${principalId}`;
  if (taken.length > 0) throw new KosError({ code: 'login_taken', message: 'That login belongs to somebody else.', fix: 'Choose another one.', status: 409 });
  await sql`update kos.principals set login = ${login} where id = ${principalId}`;
}

/** In the transaction of what allowed it. */
export async function setPassword(sql: TransactionSql, set: { principalId: string; hash: string; actor: string; keptSessionId: string | null }): Promise<void> {
  const { principalId, hash, actor } = set;
  await sql`
    insert into kos.passwords (principal_id, hash) values (${principalId}, ${hash})
    on conflict (principal_id) do update set hash = excluded.hash, updated_at = now()`;
  await revokeOtherSessions(sql, principalId, set.keptSessionId);
  await sql`
    update kos.grants set revoked_at = clock_timestamp(), revoked_because = 'password' where principal_id = ${principalId} and revoked_at is null`;
  await recordForPerson(sql, { principalId, actor, action: 'password.set', subject: principalId, data: {} });
}

const passwordWrong = (): KosError =>
  new KosError({ code: 'password_wrong', message: 'The current password is not right.', fix: 'Send it as currentPassword.', status: 403 });
