import { type InstallationRole, isRole, permissionsOf, type Role, type Via } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { SystemDatabase } from '#services/database/connect.ts';

/** What somebody may do right now, as a credential of theirs narrows it. */
export interface RightsRow {
  credential_id: string;
  principal_id: string;
  workspace_id: string;
  name: string;
  roles: string[];
  installation_role: InstallationRole | null;
  scopes: string[] | null;
}

export function makePrincipal(row: RightsRow, via: Via): Principal {
  const roles: Role[] = row.roles.filter(isRole);
  return {
    principalId: row.principal_id,
    name: row.name,
    workspaceId: row.workspace_id,
    credentialId: row.credential_id,
    responsible: row.principal_id,
    roles,
    permissions: permissionsOf({ via, scopes: row.scopes, roles, installationRole: row.installation_role }),
    via,
    scopes: row.scopes,
    installationRole: row.installation_role,
  };
}

/** Written at most so often, in seconds: a read must not cost a write. */
const usedEverySeconds = 60;

type KeyRow = RightsRow & { kind: 'api_key' | 'owner_key'; stale: boolean };

const selectKey = (sql: SystemDatabase['sql']) => sql`
  select c.id as credential_id, c.principal_id, c.workspace_id, c.kind, c.scopes, p.name, p.installation_role, m.roles,
    coalesce(c.last_used_at < clock_timestamp() - make_interval(secs => ${usedEverySeconds}), true) as stale
  from kos.credentials c
    join kos.principals p on p.id = c.principal_id
    join kos.memberships m on m.workspace_id = c.workspace_id and m.principal_id = c.principal_id
  where c.revoked_at is null and (c.expires_at is null or c.expires_at > clock_timestamp()) and p.disabled_at is null and not m.disabled`;

/** Looks a key up by its hash, before any workspace is known. Null: unknown, revoked, expired, or its owner may no longer act in its workspace. */
export async function findPrincipalByKeyHash({ sql }: SystemDatabase, secretHash: Uint8Array): Promise<Principal | null> {
  const [row] = await sql<KeyRow[]>`${selectKey(sql)} and c.secret_hash = ${Buffer.from(secretHash)}`;
  if (row === undefined) return null;
  if (row.stale) await sql`update kos.credentials set last_used_at = clock_timestamp() where id = ${row.credential_id}`;
  return makePrincipal(row, row.kind);
}

export async function findPrincipalByKeyId({ sql }: SystemDatabase, keyId: string): Promise<Principal | null> {
  const [row] = await sql<KeyRow[]>`${selectKey(sql)} and c.id = ${keyId}`;
  return row === undefined ? null : makePrincipal(row, row.kind);
}

/** Whom a line of tokens still speaks for. */
export async function findPrincipalByGrant({ sql }: SystemDatabase, grantId: string): Promise<Principal | null> {
  const [row] = await sql<RightsRow[]>`
    select g.id as credential_id, g.principal_id, g.workspace_id, p.name, p.installation_role, m.roles, null::jsonb as scopes
    from kos.grants g
      join kos.principals p on p.id = g.principal_id
      join kos.memberships m on m.workspace_id = g.workspace_id and m.principal_id = g.principal_id
    where g.id = ${grantId} and g.revoked_at is null and g.expires_at > clock_timestamp() and p.disabled_at is null and not m.disabled`;
  return row === undefined ? null : makePrincipal(row, 'token');
}

/** A person as they are in each of their workspaces; empty: none of them, or may sign in no longer. */
export async function findPersonInWorkspaces({ sql }: SystemDatabase, session: { sessionId: string; principalId: string }): Promise<Principal[]> {
  const rows = await sql<(Omit<RightsRow, 'workspace_id' | 'roles'> & { workspace_id: string | null; roles: string[] | null })[]>`
    select ${session.sessionId} as credential_id, p.id as principal_id, m.workspace_id, p.name, p.installation_role, m.roles, null::jsonb as scopes
    from kos.principals p left join kos.memberships m on m.principal_id = p.id and not m.disabled
      left join kos.workspaces w on w.workspace_id = m.workspace_id
    where p.id = ${session.principalId} and p.disabled_at is null order by w.created_at, w.workspace_id`;
  return rows.map((row) => makePrincipal({ ...row, workspace_id: row.workspace_id ?? '', roles: row.roles ?? [] }, 'session'));
}
