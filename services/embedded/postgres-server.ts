import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import postgres from 'postgres';
import { KosError } from '#core/errors.ts';
import { startChild } from './child-process.ts';
import type { ExitFacts, RunningChild } from './child-process.ts';
import { stablePorts } from './ports.ts';
import { findPostgresAccount } from './postgres-account.ts';
import { findPostgresBinaries } from './postgres-binaries.ts';
import { dataArgument, prepareDataFolder } from './postgres-data.ts';
import { postgresSettings, postgresStopSteps, productConnections } from './postgres-settings.ts';
import type { ListenPlace } from './postgres-settings.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { forgetPart, recordPart, sweepPart } from './run-records.ts';
import { type SocketFolder, reachableSocketFolder } from './socket-folder.ts';

export interface PostgresServerOptions {
  home: string;
  /** Every line that the server writes. */
  onLine: (line: string) => void;
  /** What people should know: something was swept, a folder was replaced. */
  say: (message: string) => void;
  /** False only in tests: faster, and lost with the machine. */
  durable?: boolean;
  /** Sessions at most, where that is not what one installation needs. */
  connections?: number;
}

/** How to connect as superuser. `host` is the folder of a Unix socket when it starts with a slash (as in libpq). */
export interface PostgresFacts {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}

export interface RunningServer<Facts> {
  facts: Facts;
  identity: ProcessIdentity;
  exited: Promise<ExitFacts>;
  stop: () => Promise<void>;
}

const superuser = 'kos_superuser';
const database = 'kos';
/** Names the socket file only; nothing listens on this TCP port. */
const socketPort = 5432;
const readyTimeoutMs = 60_000;

/** Starts the embedded Postgres of this `$KOS_HOME` (an earlier one that is still running is stopped first) and waits until it answers. */
export async function startPostgres(options: PostgresServerOptions): Promise<RunningServer<PostgresFacts>> {
  const durable = options.durable ?? true;
  const swept = await sweepPart(options.home, 'postgres', postgresStopSteps);
  if (swept !== null) options.say(`Stopped the database server that an earlier start had left behind (process ${swept}).`);
  await mkdir(options.home, { recursive: true, mode: 0o700 });
  const account = await findPostgresAccount();
  const binaries = await findPostgresBinaries(account);
  const password = await superuserPassword(options.home);
  const folder = await prepareDataFolder({ home: options.home, binaries, account, superuser, password, durable, say: options.say });

  const place: ListenPlace =
    process.platform === 'win32'
      ? { socketFolder: null, port: (await stablePorts(options.home, ['postgres'])).postgres }
      : { socketFolder: '.', port: socketPort };
  const settings = Object.entries(postgresSettings(place, { durable, connections: options.connections ?? productConnections })).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const child = await launch({ ...options, file: binaries.postgres, args: ['-D', dataArgument(folder), ...settings], cwd: folder, account });
  let socket: SocketFolder | null = null;
  const stop = async (): Promise<void> => {
    await child.stop(postgresStopSteps);
    await socket?.release();
    await forgetPart(options.home, 'postgres');
  };
  try {
    await recordPart(options.home, 'postgres', child.identity);
    socket = place.socketFolder === null ? null : await reachableSocketFolder(folder, socketPort);
    const facts: PostgresFacts = { host: socket?.path ?? '127.0.0.1', port: place.port, user: superuser, password, database };
    await createDatabase(facts);
    return { facts, identity: child.identity, exited: child.exited, stop };
  } catch (error) {
    // Nobody else knows of it yet: a start that fails leaves no server behind.
    await stop();
    throw error;
  }
}

interface LaunchOptions extends PostgresServerOptions {
  file: string;
  args: string[];
  cwd: string;
  account: { uid: number; gid: number } | undefined;
}

/**
 * After a SIGKILL of the server its sessions need a moment to notice, and until then a new one refuses to start ("pre-existing shared
 * memory block"): tried again for some seconds.
 */
async function launch(options: LaunchOptions): Promise<RunningChild> {
  for (let attempt = 1; ; attempt += 1) {
    const lines: string[] = [];
    const outcome = await tryLaunch(options, lines);
    if (outcome !== null) return outcome;
    if (attempt < 20 && lines.some((line) => line.includes('pre-existing shared memory block'))) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      continue;
    }
    throw new KosError({
      code: 'postgres_not_started',
      message: `The embedded database did not start: ${lines.filter((line) => /FATAL|PANIC|ERROR|HINT/.test(line)).at(-1) ?? lines.at(-1) ?? 'it said nothing'}`,
      fix: `See ${join(options.home, 'logs', 'postgres.jsonl')}.`,
      status: 500,
    });
  }
}

async function tryLaunch(options: LaunchOptions, lines: string[]): Promise<RunningChild | null> {
  const ready = Promise.withResolvers<boolean>();
  const child = await startChild({
    name: 'Postgres',
    file: options.file,
    args: options.args,
    cwd: options.cwd,
    env: { LC_ALL: 'C', TZ: 'UTC' },
    account: options.account,
    onLine: (line) => {
      if (lines.length < 100) lines.push(line);
      options.onLine(line);
      if (line.includes('database system is ready to accept connections')) ready.resolve(true);
    },
  });
  const timer = setTimeout(() => ready.resolve(false), readyTimeoutMs);
  void child.exited.then(() => ready.resolve(false));
  const isReady = await ready.promise;
  clearTimeout(timer);
  if (isReady) return child;
  await child.stop(postgresStopSteps);
  return null;
}

async function superuserPassword(home: string): Promise<string> {
  const file = join(home, 'keys', 'postgres-superuser.password');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const password = randomBytes(32).toString('base64url');
  await mkdir(join(home, 'keys'), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, `${password}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return password;
}

async function createDatabase(facts: PostgresFacts): Promise<void> {
  const sql = postgres({ ...facts, database: 'postgres', max: 1, connect_timeout: 10, onnotice: () => undefined });
  try {
    const [known] = await sql`select 1 from pg_database where datname = ${facts.database}`;
    if (known === undefined) await sql`create database ${sql(facts.database)}`;
  } catch (cause) {
    throw new KosError({
      code: 'postgres_not_answering',
      message: `The embedded database runs but refuses its own administrator: ${(cause as Error).message}.`,
      fix: 'keys/postgres-superuser.password and postgres/ in KOS_HOME belong together: put both back from the same backup.',
      status: 500,
      cause,
    });
  } finally {
    await sql.end({ timeout: 5 });
  }
}
