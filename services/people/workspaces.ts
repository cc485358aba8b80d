import { KosError } from '#core/errors.ts';
import { isRole } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Workspace } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';
import { markForRenewal } from './sessions.ts';

interface WorkspaceRow {
  id: string;
  slug: string;
  name: string;
  roles: string[];
}

const showWorkspace = (row: WorkspaceRow): Workspace => ({ ...row, roles: row.roles.filter(isRole) });

/** The workspaces that a person may work in, the oldest first. */
export async function listWorkspaces({ sql }: SystemDatabase, principalId: string): Promise<Workspace[]> {
  const rows = await sql<WorkspaceRow[]>`
    select w.workspace_id as id, w.slug, w.name, m.roles from kos.memberships m join kos.workspaces w on w.workspace_id = m.workspace_id
    where m.principal_id = ${principalId} and not m.disabled order by w.created_at, w.workspace_id`;
  return rows.map(showWorkspace);
}

/** Whoever makes a workspace owns it. Throws KosError `workspace_exists` (409). */
export function makeWorkspace({ sql: system }: SystemDatabase, { principalId }: Principal, wanted: { slug: string; name: string }): Promise<Workspace> {
  return system.begin(async (sql) => {
    const id = newId('workspace');
    const made = await sql`
      insert into kos.workspaces (workspace_id, slug, name) values (${id}, ${wanted.slug}, ${wanted.name}) on conflict do nothing returning slug`;
    if (made.length === 0)
      throw new KosError({ code: 'workspace_exists', message: `There is a workspace ${wanted.slug} already.`, fix: 'Choose another slug.', status: 409 });
    await sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${id}, ${principalId}, ${sql.json(['owner'])})`;
    await markForRenewal(sql, principalId);
    await recordAudit(sql, [
      { workspaceId: id, actor: principalId, action: 'workspace.create', subject: id, data: { slug: wanted.slug } },
      { workspaceId: id, actor: principalId, action: 'member.add', subject: principalId, data: { roles: ['owner'] } },
    ]);
    return readWorkspace(sql, id, principalId);
  });
}

/** The slug stays: it stands in addresses. */
export function renameWorkspace({ sql: system }: SystemDatabase, principal: Principal, name: string): Promise<Workspace> {
  const { workspaceId, principalId } = principal;
  return system.begin(async (sql) => {
    await sql`update kos.workspaces set name = ${name} where workspace_id = ${workspaceId}`;
    await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'workspace.rename', subject: workspaceId, data: { name } }]);
    return readWorkspace(sql, workspaceId, principalId);
  });
}

async function readWorkspace(sql: TransactionSql, workspaceId: string, principalId: string): Promise<Workspace> {
  const [row] = await sql<WorkspaceRow[]>`
    select w.workspace_id as id, w.slug, w.name, m.roles from kos.workspaces w join kos.memberships m on m.workspace_id = w.workspace_id
    where w.workspace_id = ${workspaceId} and m.principal_id = ${principalId}`;
  if (row === undefined) throw new Error(`The workspace ${workspaceId} is gone.`);
  return showWorkspace(row);
}
