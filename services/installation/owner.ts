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
  if (known === undefined) return makeOwner(sql, publicKey);
  await ownInstallation(sql, known);
  return known;
}

/** An installation from before it had an owner gets one: whoever owns its first workspace. Never taken from somebody who is. */
async function ownInstallation(sql: TransactionSql, { workspaceId, principalId }: Owner): Promise<void> {
  const [changed] = await sql`
    update kos.principals set installation_role = 'owner'
    where id = ${principalId} and not exists (select 1 from kos.principals where installation_role = 'owner') returning id`;
  if (changed !== undefined)
    await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'person.change', subject: principalId, data: { installationRole: 'owner' } }]);
}

async function makeOwner(sql: TransactionSql, publicKey: Uint8Array): Promise<Owner> {
  const workspaceId = newId('workspace');
  const principalId = newId('principal');
  await sql`insert into kos.workspaces (workspace_id, slug, name) values (${workspaceId}, ${defaultSlug}, 'Default')`;
  await sql`
    insert into kos.principals (id, kind, name, public_key, installation_role)
    values (${principalId}, 'user', 'owner', ${Buffer.from(publicKey).toString('base64')}, 'owner')`;
  await sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${principalId}, ${sql.json(['owner'])})`;
  await recordAudit(sql, [
    { workspaceId, actor: 'kos', action: 'workspace.create', subject: workspaceId, data: { slug: defaultSlug } },
    { workspaceId, actor: 'kos', action: 'member.add', subject: principalId, data: { roles: ['owner'] } },
  ]);
  return { workspaceId, principalId };
}
