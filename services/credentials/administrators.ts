import { isOfInstallation, type Permission } from '#core/policy/permissions.ts';
import type { SystemDatabase } from '#services/database/connect.ts';

/** Names of those who may give a right in a workspace: what a refusal tells the one who was refused. */
export async function findAdministrators({ sql }: SystemDatabase, workspaceId: string, permission: Permission): Promise<string[]> {
  const rows = isOfInstallation(permission)
    ? await sql<{ name: string }[]>`select name from kos.principals where installation_role = 'owner' and disabled_at is null order by name limit 5`
    : await sql<{ name: string }[]>`
        select p.name from kos.memberships m join kos.principals p on p.id = m.principal_id
        where m.workspace_id = ${workspaceId} and not m.disabled and p.disabled_at is null and m.roles ?| array['owner', 'admin']
        order by p.name limit 5`;
  return rows.map((row) => row.name);
}
