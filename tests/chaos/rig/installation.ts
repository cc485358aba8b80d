import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { environment, projectRoot } from '#config';
import { type Client, createClient } from '#cli/client.ts';
import type { Credentials } from '#cli/credentials.ts';
import { KosError } from '#core/errors.ts';
import { openPool, type Sql } from '#services/database/connect.ts';
import { readPartFacts } from '#services/embedded/part.ts';
import { isRunning, type ProcessIdentity, signalProcess, waitUntilGone } from '#services/embedded/process-identity.ts';
import { readJsonFile } from '#services/embedded/run-records.ts';
import { withChildren } from './process-tree.ts';

export const partNames = ['supervisor', 'postgres', 'temporal', 'worker', 'api'] as const;
export type PartName = (typeof partNames)[number];

/** kOS as a newcomer has it: `npm start` in the project's folder, reached over its public API. Everything it does is by process id, from its own records. */
export interface Installation {
  home: string;
  /** `npm start`, until the ready line. Returns how long that took, ms. */
  start: () => Promise<number>;
  /** As Ctrl-C does. */
  stop: () => Promise<void>;
  /** SIGKILL; returns the instant, ms since 1970. */
  kill: (parts: readonly PartName[]) => Promise<number>;
  /** Whether it runs just now. */
  runs: (part: PartName) => Promise<boolean>;
  /** To the part and the processes that it has started; of the supervisor, to itself alone. */
  signalAll: (part: PartName, signal: NodeJS.Signals) => Promise<void>;
  /** What a patient person does: the same request again, under the same key, until somebody answers. */
  patiently: <Result>(ask: (client: Client) => Promise<Result>) => Promise<Result>;
  /** Looks into the database as its administrator: what kOS says of itself is checked against what is there. */
  query: <Row extends object>(ask: (sql: Sql) => PromiseLike<readonly Row[]>) => Promise<readonly Row[]>;
}

const readyTimeoutMs = 120_000;
const patienceMs = 60_000;

const npmStart: readonly [string, ...string[]] = ['npm', 'start', '--', '--port', '0'];

/** `root`: the checkout that is started, in which `command` runs. */
export function makeInstallation(home: string, { root = projectRoot, command = npmStart } = {}): Installation {
  let launched: ChildProcess | null = null;
  const log = join(`${home}.log`);

  const start = async (): Promise<number> => {
    const since = performance.now();
    await mkdir(home, { recursive: true });
    const [program, ...words] = command;
    const child = spawn(program, words, {
      cwd: root,
      env: { ...environment, KOS_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    launched = child;
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        void appendFile(log, chunk);
      });
    }
    while (!text.includes('kOS is ready at ')) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`npm start ended before the ready line:\n${text}`);
      if (performance.now() - since > readyTimeoutMs) throw new Error(`npm start gave no ready line within ${readyTimeoutMs} ms:\n${text}`);
      await sleep(20);
    }
    return performance.now() - since;
  };

  const stop = async (): Promise<void> => {
    const holder = await record(home, 'supervisor');
    const child = launched;
    if (holder !== null) {
      await signalProcess(holder, 'SIGINT');
      if (!(await waitUntilGone(holder, 15_000))) throw new Error('kOS did not stop within 15 s.');
    }
    if (child !== null && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };

  const kill = async (parts: readonly PartName[]): Promise<number> => {
    const identities = await Promise.all(parts.map((part) => record(home, part)));
    const at = Date.now();
    await Promise.all(identities.filter((identity) => identity !== null).map((identity) => signalProcess(identity, 'SIGKILL')));
    return at;
  };

  const query: Installation['query'] = async (ask) => {
    const { database } = await readPartFacts(join(home, 'run', 'part-facts.json'));
    const password = (await readFile(join(home, 'keys', 'postgres-superuser.password'), 'utf8')).trim();
    const sql = openPool({ ...database.system, user: 'kos_superuser', password }, { max: 1, applicationName: 'chaos' });
    try {
      return [...(await ask(sql))];
    } finally {
      await sql.end({ timeout: 2 });
    }
  };

  return {
    home,
    start,
    stop,
    kill,
    query,
    runs: async (part) => {
      const identity = await record(home, part);
      return identity !== null && (await isRunning(identity));
    },
    signalAll: async (part, signal) => {
      const identity = await record(home, part);
      if (identity === null) throw new Error(`There is no record of ${part} in ${home}/run.`);
      for (const pid of part === 'supervisor' ? [identity.pid] : await withChildren(identity.pid)) process.kill(pid, signal);
    },
    patiently: async (ask) => {
      const client = createClient(() => readCredentials(home));
      for (const until = performance.now() + patienceMs; ; ) {
        try {
          return await ask(client);
        } catch (error) {
          if (!isPassing(error) || performance.now() > until) throw error;
          client.transport.forgetCredentials();
          await sleep(50);
        }
      }
    },
  };
}

async function record(home: string, part: PartName): Promise<ProcessIdentity | null> {
  return (await readJsonFile(join(home, 'run', `${part}.json`))) as ProcessIdentity | null;
}

async function readCredentials(home: string): Promise<Credentials> {
  return JSON.parse(await readFile(join(home, 'cli.json'), 'utf8')) as Credentials;
}

/** Nobody answers just now, or somebody says so. */
const isPassing = (error: unknown): boolean => error instanceof KosError && (error.status >= 500 || error.code === 'idempotency_in_flight');
