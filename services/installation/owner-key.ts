import { open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { createApiKey, hashApiKey, parseApiKey } from '#services/identity/api-key.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';
import type { Owner } from './owner.ts';

const cliFileSchema = z.object({ url: z.string(), apiKey: z.string() });
export type CliFile = z.infer<typeof cliFileSchema>;

/** `kai` signs in by what this file says. */
export const cliFilePath = (home: string): string => join(home, 'cli.json');

/**
 * The owner's local key: the one in cli.json while it is valid, else a new one, which revokes those before it. A file with a second name (a hard link)
 * would leave the key behind under that name when it is written anew, out of reach of what keeps tools from it: such a key is replaced.
 */
export async function ensureOwnerKey(system: SystemDatabase, owner: Owner, home: string): Promise<string> {
  const known = (await hasOtherNames(cliFilePath(home))) ? undefined : (await readCliFile(home))?.apiKey;
  return system.sql.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(hashtextextended(${`owner key ${owner.principalId}`}, 0))`;
    return known !== undefined && (await isValid(sql, owner, known)) ? known : replaceKey(sql, owner);
  });
}

async function hasOtherNames(path: string): Promise<boolean> {
  try {
    return (await stat(path)).nlink > 1;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function isValid(sql: TransactionSql, owner: Owner, apiKey: string): Promise<boolean> {
  if (parseApiKey(apiKey) === null) return false;
  const rows = await sql`
    select 1 from kos.credentials where secret_hash = ${Buffer.from(hashApiKey(apiKey))} and principal_id = ${owner.principalId}
      and workspace_id = ${owner.workspaceId} and kind = 'owner_key' and revoked_at is null and (expires_at is null or expires_at > now())`;
  return rows.length > 0;
}

async function replaceKey(sql: TransactionSql, owner: Owner): Promise<string> {
  const { workspaceId, principalId } = owner;
  const revoked = await sql<{ id: string }[]>`
    update kos.credentials set revoked_at = now()
    where principal_id = ${principalId} and workspace_id = ${workspaceId} and kind = 'owner_key' and revoked_at is null returning id`;
  const { apiKey, publicId, secretHash } = createApiKey();
  const credentialId = newId('credential');
  await sql`
    insert into kos.credentials (id, principal_id, workspace_id, kind, secret_hash)
    values (${credentialId}, ${principalId}, ${workspaceId}, 'owner_key', ${Buffer.from(secretHash)})`;
  await recordAudit(sql, [
    ...revoked.map(({ id }) => ({
      workspaceId,
      actor: 'kos',
      action: 'key.revoke',
      subject: id,
      data: { reason: 'replaced: the key in cli.json was missing or not valid, or the file had a second name' },
    })),
    { workspaceId, actor: 'kos', action: 'key.create', subject: credentialId, data: { kind: 'owner_key', publicId, principalId } },
  ]);
  return apiKey;
}

export async function readCliFile(home: string): Promise<CliFile | null> {
  try {
    const parsed = cliFileSchema.safeParse(JSON.parse(await readFile(cliFilePath(home), 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    // Absent or damaged: both mean that there is no key yet.
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error && error.code === 'ENOENT')) return null;
    throw error;
  }
}

/** Whole or not at all, and never readable by others, not even for a moment. */
export async function writeCliFile(home: string, content: CliFile): Promise<void> {
  const draft = `${cliFilePath(home)}.${process.pid}.draft`;
  await unlink(draft).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, cliFilePath(home));
}
