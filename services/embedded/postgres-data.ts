import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, readlink, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { KosError } from '#core/errors.ts';
import { giveFolderTo } from './postgres-account.ts';
import type { UnixAccount } from './postgres-account.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { identifyProcess } from './process-identity.ts';
import { endProcess } from './run-records.ts';
import { postgresStopSteps } from './postgres-settings.ts';

const run = promisify(execFile);

/** Written by us as the last act of initialising; a folder without it was never finished. */
const marker = 'kos-initialised.json';
const draftPrefix = 'postgres.initialising-';

export interface DataFolderOptions {
  home: string;
  binaries: PostgresBinaries;
  account: UnixAccount | undefined;
  superuser: string;
  password: string;
  /** False only in tests: leaves syncing to the operating system. */
  durable: boolean;
  say: (message: string) => void;
}

/**
 * How Postgres is told its data folder. On Linux it starts inside it and is given /proc/self/cwd, so neither its account's right to
 * enter the folders above ($KOS_HOME has mode 0700) nor the folder's name matters.
 */
export const dataArgument = (folder: string): string => (process.platform === 'linux' ? '/proc/self/cwd' : folder);

/** Returns the folder, initialised and owned by the right account. An unfinished one is set aside, never deleted. */
export async function prepareDataFolder(options: DataFolderOptions): Promise<string> {
  const folder = join(options.home, 'postgres');
  await removeDrafts(options.home);
  if (!(await isFinished(folder))) {
    await setAside(folder, options.say);
    await warnOfLostDatabase(options, folder);
    await initialise(folder, options);
  }
  if (options.account !== undefined) await giveFolderTo(folder, options.account);
  // A copy made by `cp -r` has the mode of the copier's umask; Postgres refuses what others may read.
  if (process.platform !== 'win32') await chmod(folder, 0o700);
  await removeStaleLock(folder, options.say);
  return folder;
}

async function isFinished(folder: string): Promise<boolean> {
  if (!(await exists(join(folder, marker)))) return false;
  const missing = await findMissing(folder);
  if (missing === undefined) return true;
  throw new KosError({
    code: 'postgres_data_damaged',
    message: `The database in ${folder} is damaged: it was in use before, but ${missing} is missing.`,
    fix: `Put the folder back from a backup, or move it away to start with an empty database.`,
    status: 500,
  });
}

/** Without these Postgres refuses the folder in words that name neither the file nor a remedy. */
const essentialFiles = ['PG_VERSION', 'global/pg_control'];

async function findMissing(folder: string): Promise<string | undefined> {
  for (const file of essentialFiles) if (!(await exists(join(folder, file)))) return file;
  return undefined;
}

/** The roles' passwords are written once a database stands: there was one here. */
async function warnOfLostDatabase(options: DataFolderOptions, folder: string): Promise<void> {
  if (!(await exists(join(options.home, 'keys', 'database-roles.json')))) return;
  options.say(`The database of this KOS_HOME is gone (${folder} is missing, its keys are there): kOS starts with an empty one.`);
  options.say('If it was moved, stop kOS now, remove the new folder and put the old one back.');
}

/** Nothing of ours leaves a folder here without the marker, so it is somebody's half-made or foreign one: kept under another name. */
async function setAside(folder: string, say: (message: string) => void): Promise<void> {
  if (!(await exists(folder))) return;
  if ((await readdir(folder)).length === 0) {
    await rm(folder, { recursive: true });
    return;
  }
  const kept = `${folder}.unfinished-${new Date().toISOString().replaceAll(':', '-')}`;
  await rename(folder, kept);
  say(`The database folder was never finished; a new one is made, the old one is kept as ${kept}.`);
}

/** Made beside its place and renamed when whole: a kill at any moment leaves either nothing or a finished folder. */
async function initialise(folder: string, options: DataFolderOptions): Promise<void> {
  const draft = await mkdtemp(join(options.home, draftPrefix));
  const data = join(draft, 'data');
  const passwordFile = join(draft, 'password');
  await mkdir(data, { mode: 0o700 });
  await writeFile(passwordFile, options.password, { mode: 0o600 });
  if (options.account !== undefined) {
    for (const path of [passwordFile, data, draft]) await chown(path, options.account.uid, options.account.gid);
  }
  await runInitdb(data, options);
  await writeFile(
    join(data, marker),
    `${JSON.stringify({ postgres: (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim(), at: new Date().toISOString() })}\n`,
  );
  await rename(data, folder);
  await rm(draft, { recursive: true, force: true });
}

async function runInitdb(data: string, options: DataFolderOptions): Promise<void> {
  const args = [
    '-D',
    dataArgument(data),
    `--username=${options.superuser}`,
    // Not path.join: it would fold "/proc/self/cwd/.." into "/proc/self", but the kernel must follow the link before it goes up.
    `--pwfile=${dataArgument(data)}/../password`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    ...(options.durable ? [] : ['--no-sync']),
  ];
  try {
    const identity = options.account === undefined ? {} : { uid: options.account.uid, gid: options.account.gid };
    await run(options.binaries.initdb, args, { cwd: data, env: { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin' }, timeout: 120_000, ...identity });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new KosError({
      code: 'postgres_not_initialised',
      message: `The embedded database could not be set up in ${options.home}: ${(stderr ?? '').trim() || (cause as Error).message}`,
      fix: 'Check free space and permissions of that folder, or set KOS_HOME to another one.',
      status: 500,
      cause,
    });
  }
}

async function removeDrafts(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    // Retries: an initdb whose starter was killed may still be writing there.
    if (name.startsWith(draftPrefix)) await rm(join(home, name), { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

/**
 * Postgres trusts the process id in its lock file, which after a crash may by now belong to any program. Whatever runs inside the data
 * folder is a server without its starter and is stopped; if the process is another one, the lock is stale.
 */
async function removeStaleLock(folder: string, say: (message: string) => void): Promise<void> {
  const lock = join(folder, 'postmaster.pid');
  if (!(await exists(lock))) return;
  const pid = Number.parseInt(await readFile(lock, 'utf8'), 10);
  const identity = Number.isInteger(pid) && pid > 0 ? await identifyProcess(pid) : null;
  if (identity !== null && process.platform === 'linux' && (await worksIn(pid, folder))) {
    await endProcess(identity, postgresStopSteps);
    say(`Stopped the database server that an earlier start had left behind (process ${pid}).`);
  } else if (identity !== null && process.platform !== 'linux') {
    return;
  }
  await rm(lock, { force: true });
  for (const name of await readdir(folder)) if (name.startsWith('.s.PGSQL.')) await rm(join(folder, name), { force: true });
}

async function worksIn(pid: number, folder: string): Promise<boolean> {
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === (await realpath(folder));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another user's process cannot be one that we started.
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return false;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}
