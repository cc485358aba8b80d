import { isRole, type CredentialKind, permissionsOfKey } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { hashApiKey, parseApiKey } from '#services/identity/api-key.ts';

interface CredentialRow {
  id: string;
  principal_id: string;
  workspace_id: string;
  kind: CredentialKind;
  scopes: string[] | null;
  name: string;
  roles: string[];
}

/** Looks a key up by its hash, before any workspace is known. Null: unknown, revoked, expired, or its owner may no longer act in its workspace. */
export async function findPrincipalByKeyHash(system: SystemDatabase, secretHash: Uint8Array): Promise<Principal | null> {
  const [row] = await system.sql<CredentialRow[]>`
    select c.id, c.principal_id, c.workspace_id, c.kind, c.scopes, p.name, m.roles
    from kos.credentials c
      join kos.principals p on p.id = c.principal_id
      join kos.memberships m on m.workspace_id = c.workspace_id and m.principal_id = c.principal_id
    where c.secret_hash = ${Buffer.from(secretHash)} and c.revoked_at is null and (c.expires_at is null or c.expires_at > now())
      and p.disabled_at is null and not m.disabled`;
  return row === undefined ? null : makePrincipal(row);
}

function makePrincipal(row: CredentialRow): Principal {
  const roles = row.roles.filter(isRole);
  return {
    principalId: row.principal_id,
    name: row.name,
    workspaceId: row.workspace_id,
    credentialId: row.id,
    responsible: row.principal_id,
    roles,
    permissions: permissionsOfKey({ kind: row.kind, scopes: row.scopes, roles }),
  };
}

export interface Authenticator {
  /** Null: no valid key. A revoked key is refused 5 s later at most. */
  authenticate(apiKey: string): Promise<Principal | null>;
}

const freshForMs = 5_000;
const mostKnown = 1_000;

/** Remembers valid keys, by hash, for 5 s. Invalid ones are looked up each time, so that nobody can fill the memory with guesses. */
export function createAuthenticator(dependencies: { system: SystemDatabase; now: () => number }): Authenticator {
  const { system, now } = dependencies;
  const known = new Map<string, { principal: Principal; until: number }>();
  return {
    async authenticate(apiKey) {
      if (parseApiKey(apiKey) === null) return null;
      const secretHash = hashApiKey(apiKey);
      const name = Buffer.from(secretHash).toString('base64');
      const fresh = known.get(name);
      if (fresh !== undefined && now() < fresh.until) return fresh.principal;
      known.delete(name);
      const principal = await findPrincipalByKeyHash(system, secretHash);
      if (principal === null) return null;
      if (known.size >= mostKnown) known.clear();
      known.set(name, { principal, until: now() + freshForMs });
      return principal;
    },
  };
}
