import { KosError } from '#core/errors.ts';
import { decide, explainDenial, type Resource } from '#core/policy/can.ts';
import { isRole, type Permission, permissionsOfRoles, type Role, rolesIncludedIn } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Member } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { recordAudit } from '#services/records/record.ts';
import { markForRenewal } from './sessions.ts';

interface MemberRow {
  id: string;
  name: string;
  login: string | null;
  roles: string[];
  disabled: boolean;
  created_at: Date;
}

const showMember = (row: MemberRow): Member => ({
  id: row.id,
  name: row.name,
  login: row.login,
  roles: row.roles.filter(isRole),
  disabled: row.disabled,
  joinedAt: row.created_at.toISOString(),
});

/** A member is disabled here, or the person is everywhere. */
const columns = (sql: SystemDatabase['sql'] | TransactionSql) =>
  sql`p.id, p.name, p.login, m.roles, (m.disabled or p.disabled_at is not null) as disabled, m.created_at`;

export async function listMembers({ sql }: SystemDatabase, workspaceId: string, page: { cursor: string | null; limit: number }): Promise<Page<Member>> {
  const after = page.cursor === null ? '' : String(decodeCursor(page.cursor, ['string'])[0]);
  const rows = await sql<MemberRow[]>`
    select ${columns(sql)} from kos.memberships m join kos.principals p on p.id = m.principal_id
    where m.workspace_id = ${workspaceId} and p.id > ${after} order by p.id limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showMember, (row) => [row.id]);
}

/** Throws KosError `member_not_found`. */
export async function readMember(sql: SystemDatabase['sql'] | TransactionSql, workspaceId: string, principalId: string): Promise<Member> {
  const [row] = await sql<MemberRow[]>`
    select ${columns(sql)} from kos.memberships m join kos.principals p on p.id = m.principal_id
    where m.workspace_id = ${workspaceId} and p.id = ${principalId}`;
  if (row === undefined)
    throw new KosError({ code: 'member_not_found', message: `There is no member ${principalId} in this workspace.`, fix: 'kai member list', status: 404 });
  return showMember(row);
}

/** Throws KosError `permission_missing` (403) with what stands in the way. */
export function assertMay(principal: Principal, action: Permission, resource: Resource): void {
  const verdict = decide(principal, action, resource);
  if (verdict.allowed) return;
  throw new KosError({
    code: 'permission_missing',
    ...explainDenial(action, verdict.obstacle),
    status: 403,
    extra: { permission: action, obstacle: verdict.obstacle },
  });
}

/** Throws KosError `member_not_found`, `permission_missing` (403) for roles beyond the caller's own, `last_owner` (409). */
export function changeMember(
  { sql: system }: SystemDatabase,
  principal: Principal,
  principalId: string,
  change: { roles?: Role[] | undefined; disabled?: boolean | undefined },
): Promise<Member> {
  const { workspaceId } = principal;
  return system.begin(async (sql) => {
    await lockMembers(sql, workspaceId);
    const before = await readMember(sql, workspaceId, principalId);
    assertMay(principal, 'members:write', { kind: 'member', workspaceId, held: before.roles, wanted: change.roles ?? before.roles });
    await sql`
      update kos.memberships set roles = ${sql.json(change.roles ?? before.roles)}, disabled = coalesce(${change.disabled ?? null}::boolean, disabled)
      where workspace_id = ${workspaceId} and principal_id = ${principalId}`;
    await assertOwnerLeft(sql, workspaceId);
    await markForRenewal(sql, principalId);
    const after = await readMember(sql, workspaceId, principalId);
    const data = { from: before.roles, to: after.roles, disabled: after.disabled };
    await recordAudit(sql, [{ workspaceId, actor: principal.principalId, action: 'member.change', subject: principalId, data }]);
    return after;
  });
}

/** Their keys and tokens in this workspace end with it, so that coming back brings none of them back. */
export function removeMember({ sql: system }: SystemDatabase, principal: Principal, principalId: string): Promise<void> {
  const { workspaceId } = principal;
  return system.begin(async (sql) => {
    await lockMembers(sql, workspaceId);
    const member = await readMember(sql, workspaceId, principalId);
    assertMay(principal, 'members:write', { kind: 'member', workspaceId, held: member.roles, wanted: [] });
    await sql`delete from kos.memberships where workspace_id = ${workspaceId} and principal_id = ${principalId}`;
    await assertOwnerLeft(sql, workspaceId);
    await sql`
      update kos.credentials set revoked_at = clock_timestamp() where workspace_id = ${workspaceId} and principal_id = ${principalId} and revoked_at is null`;
    await sql`
      update kos.grants set revoked_at = clock_timestamp(), revoked_because = 'revoked'
      where workspace_id = ${workspaceId} and principal_id = ${principalId} and revoked_at is null`;
    await markForRenewal(sql, principalId);
    await recordAudit(sql, [{ workspaceId, actor: principal.principalId, action: 'member.remove', subject: principalId, data: { roles: member.roles } }]);
  });
}

/** In the transaction that made or found the person. Throws KosError `already_member` (409). */
export async function addMember(
  sql: TransactionSql,
  member: { workspaceId: string; principalId: string; roles: readonly Role[]; actor: string },
): Promise<void> {
  const { workspaceId, principalId, roles, actor } = member;
  const added = await sql`
    insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${principalId}, ${sql.json([...roles])})
    on conflict do nothing returning principal_id`;
  if (added.length === 0) throw alreadyMember();
  await recordAudit(sql, [{ workspaceId, actor, action: 'member.add', subject: principalId, data: { roles: [...roles] } }]);
}

export const alreadyMember = (): KosError =>
  new KosError({
    code: 'already_member',
    message: 'That person is a member of this workspace already.',
    fix: 'Change their roles, or let them in again: kai member set MEMBER --role ROLE --enable',
    status: 409,
  });

/** Whether somebody may still give these roles here: an invitation is worth no more than the one who wrote it is now. */
export async function mayStillInvite(sql: TransactionSql, inviter: { workspaceId: string; principalId: string; roles: readonly Role[] }): Promise<boolean> {
  const [row] = await sql<{ roles: string[] }[]>`
    select m.roles from kos.memberships m join kos.principals p on p.id = m.principal_id
    where m.workspace_id = ${inviter.workspaceId} and m.principal_id = ${inviter.principalId} and not m.disabled and p.disabled_at is null`;
  const held = (row?.roles ?? []).filter(isRole);
  return permissionsOfRoles(held).has('members:write') && inviter.roles.every((role) => rolesIncludedIn(held).has(role));
}

/** Two changes of one workspace's members come one after the other, so that not both take the last owner. */
export async function lockMembers(sql: TransactionSql, workspaceId: string): Promise<void> {
  await sql`select 1 from kos.workspaces where workspace_id = ${workspaceId} for update`;
}

async function assertOwnerLeft(sql: TransactionSql, workspaceId: string): Promise<void> {
  const [owner] = await sql`
    select 1 from kos.memberships m join kos.principals p on p.id = m.principal_id
    where m.workspace_id = ${workspaceId} and m.roles ? 'owner' and not m.disabled and p.disabled_at is null limit 1`;
  if (owner === undefined)
    throw new KosError({
      code: 'last_owner',
      message: 'That would leave this workspace without an owner.',
      fix: 'Make somebody else an owner first: kai member set MEMBER --role owner',
      status: 409,
    });
}
