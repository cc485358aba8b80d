import { KosError } from '#core/errors.ts';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Key, MadeKey } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { createApiKey } from '#services/identity/api-key.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { recordAudit } from '#services/records/record.ts';
import { assertMay } from './members.ts';

interface KeyRow {
  id: string;
  public_id: string | null;
  name: string;
  principal_id: string;
  owner_name: string;
  scopes: string[] | null;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
}

const showKey = (row: KeyRow): Key => ({
  id: row.id,
  publicId: row.public_id,
  name: row.name,
  ownerId: row.principal_id,
  ownerName: row.owner_name,
  scopes: row.scopes,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at?.toISOString() ?? null,
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
});

const selectKeys = (sql: SystemDatabase['sql'] | TransactionSql) => sql`
  select c.id, c.public_id, c.name, c.principal_id, p.name as owner_name, c.scopes, c.created_at, c.expires_at, c.last_used_at
  from kos.credentials c join kos.principals p on p.id = c.principal_id
  where c.revoked_at is null and (c.expires_at is null or c.expires_at > clock_timestamp())`;

/** Keys that are good: one's own, and those of all members for who manages members. */
export async function listKeys({ sql }: SystemDatabase, principal: Principal, page: { cursor: string | null; limit: number }): Promise<Page<Key>> {
  const after = page.cursor === null ? '' : String(decodeCursor(page.cursor, ['string'])[0]);
  const owner = principal.permissions.has('members:write') ? sql`` : sql`and c.principal_id = ${principal.principalId}`;
  const rows = await sql<KeyRow[]>`
    ${selectKeys(sql)} and c.workspace_id = ${principal.workspaceId} ${owner} and c.id > ${after} order by c.id limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showKey, (row) => [row.id]);
}

/** A key of the caller's own, never with more than the caller has now. Throws KosError `scope_beyond_yours` (403). */
export function makeKey(
  { sql: system }: SystemDatabase,
  principal: Principal,
  wanted: { name: string; scopes: Permission[]; expiresInDays?: number | undefined },
): Promise<MadeKey> {
  const { workspaceId, principalId } = principal;
  const beyond = wanted.scopes.filter((scope) => !principal.permissions.has(scope));
  if (beyond.length > 0)
    throw new KosError({
      code: 'scope_beyond_yours',
      message: `You do not have ${beyond.join(', ')} yourself, so no key of yours can.`,
      fix: 'What you may do: kai whoami --permissions',
      status: 403,
      extra: { scopes: beyond },
    });
  return system.begin(async (sql) => {
    const { apiKey, publicId, secretHash } = createApiKey();
    const id = newId('credential');
    const scopes = [...new Set(wanted.scopes)].toSorted();
    await sql`
      insert into kos.credentials (id, principal_id, workspace_id, kind, secret_hash, scopes, name, public_id, expires_at)
      values (${id}, ${principalId}, ${workspaceId}, 'api_key', ${Buffer.from(secretHash)}, ${sql.json(scopes)}, ${wanted.name}, ${publicId},
        clock_timestamp() + make_interval(days => ${wanted.expiresInDays ?? null}::int))`;
    const [row] = await sql<KeyRow[]>`${selectKeys(sql)} and c.id = ${id}`;
    if (row === undefined) throw new Error('The database kept no key.');
    const data = { publicId, name: wanted.name, scopes, expiresAt: row.expires_at?.toISOString() ?? null, madeWith: principal.credentialId };
    await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'key.create', subject: id, data }]);
    return { ...showKey(row), apiKey };
  });
}

/** Refused everywhere 5 s later at most, open streams included. Returns whose it was. Throws KosError `key_not_found`, `permission_missing` (403), `owner_key` (409). */
export function revokeKey({ sql: system }: SystemDatabase, principal: Principal, keyId: string): Promise<string> {
  const { workspaceId, principalId } = principal;
  return system.begin(async (sql) => {
    const [key] = await sql<{ owner: string; kind: string }[]>`
      select principal_id as owner, kind from kos.credentials where id = ${keyId} and workspace_id = ${workspaceId} and revoked_at is null for update`;
    if (key === undefined)
      throw new KosError({ code: 'key_not_found', message: `There is no key ${keyId} in this workspace.`, fix: 'kai key list', status: 404 });
    assertMay(principal, 'keys:write', { kind: 'key', workspaceId, ownerId: key.owner });
    if (key.kind === 'owner_key' && key.owner !== principalId)
      throw new KosError({
        code: 'owner_key',
        message: "That is the owner's local key, which only they can replace.",
        fix: 'They delete cli.json and start kOS again.',
        status: 409,
      });
    await sql`update kos.credentials set revoked_at = clock_timestamp() where id = ${keyId}`;
    await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'key.revoke', subject: keyId, data: { reason: 'asked for' } }]);
    return key.owner;
  });
}
