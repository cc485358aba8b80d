import { execFile } from 'node:child_process';
import { chown, lchown, lstat, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { KosError } from '#core/errors.ts';

const run = promisify(execFile);

export interface UnixAccount {
  name: string;
  uid: number;
  gid: number;
}

/** Ours by preference; `postgres` and `nobody` where the system lets nobody add users. */
const accountNames = ['kos', 'postgres', 'nobody'];

/** Postgres refuses to run as root. Undefined when we are not root: then it runs as we do. */
export async function findPostgresAccount(): Promise<UnixAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  if ((await readAccount('kos')) === undefined) await addAccount();
  for (const name of accountNames) {
    const account = await readAccount(name);
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new KosError({
    code: 'postgres_account_missing',
    message: `Postgres does not run as root, and there is no user to run it as: "useradd --system kos" failed and none of ${accountNames.join(', ')} exists.`,
    fix: 'Add a system user named kos, or start kOS as a user other than root.',
    status: 500,
  });
}

/** Gives a data folder to its account. Does nothing when it has it already (a copied folder belongs to whoever copied it). */
export async function giveFolderTo(folder: string, account: UnixAccount): Promise<void> {
  const probes = await Promise.all([folder, join(folder, 'PG_VERSION'), join(folder, 'base')].map((path) => ownerOf(path)));
  if (probes.every((owner) => owner === null || owner === account.uid)) return;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await lchown(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
  await chown(folder, account.uid, account.gid);
}

async function ownerOf(path: string): Promise<number | null> {
  try {
    return (await lstat(path)).uid;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function readAccount(name: string): Promise<UnixAccount | undefined> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n');
  const fields = lines.map((line) => line.split(':')).find((parts) => parts[0] === name);
  return fields === undefined ? undefined : { name, uid: Number(fields[2]), gid: Number(fields[3]) };
}

async function addAccount(): Promise<void> {
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', 'kos'], {
      timeout: 10_000,
    });
  } catch {
    // A system without useradd or with a read-only /etc: the caller goes on to accounts that exist.
  }
}
