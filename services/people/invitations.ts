import { KosError } from '#core/errors.ts';
import { isRole, type Role } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Invitation, MadeLink } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { hashRandomToken } from '#services/identity/random-token.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { recordAudit } from '#services/records/record.ts';
import { linkRefused, makeLink, spendLink, takeLink } from './links.ts';
import { addMember, alreadyMember, assertMay, mayStillInvite } from './members.ts';
import { hashPassword } from './passwords.ts';
import { type OpenedSession, openSession } from './sessions.ts';
import { checkPassword, type Pause } from './sign-in.ts';

/** A link that makes whoever spends it a member. Throws KosError `permission_missing` (403) for roles beyond the caller's own, `already_member` (409). */
export function invite({ sql: system }: SystemDatabase, principal: Principal, publicUrl: string, wanted: { login: string; roles: Role[] }): Promise<MadeLink> {
  const { workspaceId, principalId } = principal;
  assertMay(principal, 'members:write', { kind: 'member', workspaceId, held: [], wanted: wanted.roles });
  return system.begin(async (sql) => {
    const [known] = await sql`
      select 1 from kos.memberships m join kos.principals p on p.id = m.principal_id where m.workspace_id = ${workspaceId} and p.login = ${wanted.login}`;
    if (known !== undefined) throw alreadyMember();
    const link = await makeLink(sql, publicUrl, { kind: 'invitation', workspaceId, ...wanted, createdBy: principalId });
    await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'member.invite', subject: link.id, data: wanted }]);
    return link;
  });
}

interface InvitationRow {
  id: string;
  login: string;
  roles: string[];
  created_by: string;
  created_at: Date;
  expires_at: Date;
}

/** Those that can still be spent. */
export async function listInvitations({ sql }: SystemDatabase, workspaceId: string, page: { cursor: string | null; limit: number }): Promise<Page<Invitation>> {
  const after = page.cursor === null ? '' : String(decodeCursor(page.cursor, ['string'])[0]);
  const rows = await sql<InvitationRow[]>`
    select id, login, roles, created_by, created_at, expires_at from kos.links
    where workspace_id = ${workspaceId} and kind = 'invitation' and spent_at is null and revoked_at is null and expires_at > clock_timestamp() and id > ${after}
    order by id limit ${page.limit + 1}`;
  const show = (row: InvitationRow): Invitation => ({
    id: row.id,
    login: row.login,
    roles: row.roles.filter(isRole),
    createdBy: row.created_by,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
  });
  return pageOf(rows, page.limit, show, (row) => [row.id]);
}

/** Throws KosError `invitation_not_found`. */
export function revokeInvitation({ sql: system }: SystemDatabase, principal: Principal, linkId: string): Promise<void> {
  const { workspaceId, principalId } = principal;
  return system.begin(async (sql) => {
    const revoked = await sql`
      update kos.links set revoked_at = clock_timestamp()
      where id = ${linkId} and workspace_id = ${workspaceId} and kind = 'invitation' and spent_at is null and revoked_at is null returning id`;
    if (revoked.length === 0)
      throw new KosError({
        code: 'invitation_not_found',
        message: `There is no open invitation ${linkId} in this workspace.`,
        fix: 'kai member invitations',
        status: 404,
      });
    await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'invitation.revoke', subject: linkId, data: {} }]);
  });
}

interface AcceptedBy {
  token: string;
  /** Of a new person. */
  name?: string | undefined;
  /** A new person's first, or the one that somebody has already. */
  password: string;
  userAgent: string | undefined;
}

/**
 * Spends an invitation: a new person gets an account under the login that was invited; somebody who has one proves it by its password.
 * Throws KosError `link_refused`, `sign_in_refused` (401), `password_too_short`, `name_missing` (400), `already_member` (409).
 */
export async function acceptInvitation(system: SystemDatabase, accepted: AcceptedBy, pause?: Pause): Promise<OpenedSession> {
  const tokenHash = hashRandomToken(accepted.token);
  const known = await system.sql.begin(async (sql) => {
    const link = await takeInvitation(sql, tokenHash);
    return findLogin(sql, link.login);
  });
  const proven = known === null ? null : await checkPassword(system, { login: known.login, password: accepted.password }, pause);
  const hash = proven === null ? await hashPassword(assertNewPassword(accepted.password)) : null;
  return system.sql.begin(async (sql) => {
    const link = await takeInvitation(sql, tokenHash);
    const principalId = proven ?? (await makePerson(sql, { name: accepted.name, login: link.login }));
    if (hash !== null) await sql`insert into kos.passwords (principal_id, hash) values (${principalId}, ${hash})`;
    await joinByInvitation(sql, link, principalId);
    return openSession(sql, { principalId, method: 'invitation', userAgent: accepted.userAgent });
  });
}

export interface OpenInvitation {
  id: string;
  workspaceId: string;
  login: string;
  roles: Role[];
  createdBy: string;
}

/** Locked until the transaction ends. Throws KosError `link_refused` (401), also when whoever wrote it could not write it today. */
export async function takeInvitation(sql: TransactionSql, tokenHash: Buffer | null): Promise<OpenInvitation> {
  const { id, workspace_id: workspaceId, login, roles: given, created_by: createdBy } = await takeLink(sql, 'invitation', tokenHash);
  const roles = (given ?? []).filter(isRole);
  if (workspaceId === null || login === null || !(await mayStillInvite(sql, { workspaceId, principalId: createdBy, roles }))) throw linkRefused();
  return { id, workspaceId, login, roles, createdBy };
}

export async function joinByInvitation(sql: TransactionSql, invitation: OpenInvitation, principalId: string): Promise<void> {
  await addMember(sql, { workspaceId: invitation.workspaceId, principalId, roles: invitation.roles, actor: invitation.createdBy });
  await spendLink(sql, invitation.id);
}

export async function findLogin(sql: TransactionSql, login: string): Promise<{ principalId: string; login: string } | null> {
  const [row] = await sql<{ id: string }[]>`select id from kos.principals where login = ${login}`;
  return row === undefined ? null : { principalId: row.id, login };
}

/** Throws KosError `name_missing` (400). Of two at once with one login, the second finds the login taken: `link_refused`. */
export async function makePerson(sql: TransactionSql, person: { name: string | undefined; login: string }): Promise<string> {
  if (person.name === undefined)
    throw new KosError({ code: 'name_missing', message: 'A new account needs a name.', fix: 'Send name, by which others know you.', status: 400 });
  const principalId = newId('principal');
  const made = await sql`
    insert into kos.principals (id, kind, name, public_key, login) values (${principalId}, 'user', ${person.name}, '', ${person.login})
    on conflict do nothing returning id`;
  if (made.length === 0) throw linkRefused();
  return principalId;
}

const shortestPassword = 12;

function assertNewPassword(password: string): string {
  if (password.length >= shortestPassword) return password;
  throw new KosError({
    code: 'password_too_short',
    message: `The password has fewer than ${shortestPassword} characters.`,
    fix: 'Choose a longer one; a few words do well.',
    status: 400,
    details: [{ pointer: '/password', message: `must have ${shortestPassword} characters at least` }],
  });
}
