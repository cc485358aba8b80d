import type { TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';

export interface Owner {
  workspaceId: string;
  principalId: string;
}

const defaultSlug = 'default';

/** The first workspace and the person it belongs to, made at the first start and found at every later one. */
export async function ensureOwner(sql: TransactionSql, publicKey: Uint8Array): Promise<Owner> {
  const [known] = await sql<Owner[]>`
    select w.workspace_id as "workspaceId", m.principal_id as "principalId" from kos.workspaces w join kos.memberships m on m.workspace_id = w.workspace_id
    where w.slug = ${defaultSlug} and m.roles ? 'owner' order by m.created_at, m.principal_id limit 1`;
  return known ?? makeOwner(sql, publicKey);
}

async function makeOwner(sql: TransactionSql, publicKey: Uint8Array): Promise<Owner> {
  const workspaceId = newId('workspace');
  const principalId = newId('principal');
  await sql`insert into kos.workspaces (workspace_id, slug, name) values (${workspaceId}, ${defaultSlug}, 'Default')`;
  await sql`
    insert into kos.principals (id, kind, name, public_key) values (${principalId}, 'user', 'owner', ${Buffer.from(publicKey).toString('base64')})`;
  await sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${principalId}, ${sql.json(['owner'])})`;
  await recordAudit(sql, [
    { workspaceId, actor: 'kos', action: 'workspace.create', subject: workspaceId, data: { slug: defaultSlug } },
    { workspaceId, actor: 'kos', action: 'member.add', subject: principalId, data: { roles: ['owner'] } },
  ]);
  return { workspaceId, principalId };
}
