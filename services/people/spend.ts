import type { MadeLink } from '#schemas/people.ts';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { hashRandomToken } from '#services/identity/random-token.ts';
import { linkRefused, makeLink, spendLink, takeLink } from './links.ts';
import { hashPassword } from './passwords.ts';
import { recordForPerson } from './record-for-person.ts';
import { type OpenedSession, openSession } from './sessions.ts';
import { setPassword } from './profile.ts';

/** A link that signs the caller in, in a browser. */
export function makeSignInLink({ sql: system }: SystemDatabase, { principalId }: Principal, publicUrl: string): Promise<MadeLink> {
  return system.begin(async (sql) => {
    const link = await makeLink(sql, publicUrl, { kind: 'sign_in', principalId, createdBy: principalId });
    await recordForPerson(sql, { principalId, actor: principalId, action: 'link.make', subject: link.id, data: { kind: 'sign_in' } });
    return link;
  });
}

/** A link by which a person sets a new password. Throws KosError `person_not_found`, and `login_missing` (409) for who has no login to use it with. */
export function makeResetLink({ sql: system }: SystemDatabase, principal: Principal, personId: string, publicUrl: string): Promise<MadeLink> {
  return system.begin(async (sql) => {
    const [person] = await sql<{ login: string | null }[]>`select login from kos.principals where id = ${personId} and kind = 'user' and disabled_at is null`;
    if (person === undefined)
      throw new KosError({ code: 'person_not_found', message: `There is no person ${personId} who may sign in.`, fix: 'kai member people', status: 404 });
    if (person.login === null)
      throw new KosError({
        code: 'login_missing',
        message: 'That person has no login to use a password with.',
        fix: 'They choose one in a session: PUT /v1/me/password',
        status: 409,
      });
    const link = await makeLink(sql, publicUrl, { kind: 'reset', principalId: personId, createdBy: principal.principalId });
    await recordForPerson(sql, { principalId: personId, actor: principal.principalId, action: 'link.make', subject: link.id, data: { kind: 'reset' } });
    return link;
  });
}

/** Throws KosError `link_refused` (401). */
export function signInByLink({ sql: system }: SystemDatabase, spent: { token: string; userAgent: string | undefined }): Promise<OpenedSession> {
  return system.begin(async (sql) => {
    const link = await takeLink(sql, 'sign_in', hashRandomToken(spent.token));
    const principalId = await activePerson(sql, link.principal_id);
    await spendLink(sql, link.id);
    return openSession(sql, { principalId, method: 'link', userAgent: spent.userAgent });
  });
}

/** Every other session and token of that person ends. Throws KosError `link_refused` (401). */
export async function resetPassword(
  { sql: system }: SystemDatabase,
  spent: { token: string; password: string; userAgent: string | undefined },
): Promise<OpenedSession> {
  const hash = await hashPassword(spent.password);
  return system.begin(async (sql) => {
    const link = await takeLink(sql, 'reset', hashRandomToken(spent.token));
    const principalId = await activePerson(sql, link.principal_id);
    await spendLink(sql, link.id);
    await setPassword(sql, { principalId, hash, actor: principalId, keptSessionId: null });
    return openSession(sql, { principalId, method: 'reset', userAgent: spent.userAgent });
  });
}

async function activePerson(sql: TransactionSql, principalId: string | null): Promise<string> {
  const [person] = await sql<{ id: string }[]>`select id from kos.principals where id = ${principalId} and disabled_at is null`;
  if (person === undefined) throw linkRefused();
  return person.id;
}

/** Whether anybody has ever signed in here with a browser: until then, a start on a terminal prints the owner's link. */
export async function hasAnybodySignedIn({ sql }: SystemDatabase): Promise<boolean> {
  const [session] = await sql`select 1 from kos.sessions limit 1`;
  return session !== undefined;
}
