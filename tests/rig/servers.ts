import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfiguration } from '#config';
import type { PreparedDatabase } from '#services/database/prepare.ts';
import { startPostgres } from '#services/embedded/postgres-server.ts';
import type { PostgresFacts } from '#services/embedded/postgres-server.ts';
import { postgresStopSteps } from '#services/embedded/postgres-settings.ts';
import { identifyProcess, isRunning } from '#services/embedded/process-identity.ts';
import type { ProcessIdentity } from '#services/embedded/process-identity.ts';
import { readJsonFile, recordPart, sweepPart } from '#services/embedded/run-records.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import { startTemporal } from '#services/embedded/temporal-server.ts';
import { temporalStopSteps } from '#services/embedded/temporal-settings.ts';
import { prepareTemplate } from './database-template.ts';

/** What tests are given of the servers: plain JSON, so that it crosses to vitest's processes. */
export interface TestServers {
  /** As superuser; every suite makes a database of its own. */
  postgres: PostgresFacts;
  /** What those databases are copies of. */
  template: PreparedDatabase;
  temporal: { address: string; namespace: string };
}

export interface RunningTestServers {
  facts: TestServers;
  stop: () => Promise<void>;
}

const folderPrefix = 'kos-tests-';

/** Suites that run side by side have an API, workers and writers each: at 60, one was refused now and then. */
const testConnections = 300;

/** One Postgres and one Temporal in a folder of their own. Nothing is flushed to disk: they live no longer than the test run. */
export async function startTestServers(environment: Record<string, string | undefined>): Promise<RunningTestServers> {
  const home = await makeServersFolder(folderPrefix);
  const { cache } = readConfiguration(environment);
  const say = (message: string): void => console.info(message);
  const lastLines: string[] = [];
  const onLine = (line: string): void => {
    lastLines.push(line);
  };
  const [postgres, temporal] = await Promise.all([
    startPostgres({ home, onLine, say, durable: false, connections: testConnections }),
    findTemporalBinary({ cache, environment, say }).then((binary) => startTemporal({ home, binary, namespace: 'default', onLine, say, durable: false })),
  ]);
  return {
    facts: {
      postgres: postgres.facts,
      template: await prepareTemplate(postgres.facts, home),
      temporal: { address: temporal.facts.address, namespace: temporal.facts.namespace },
    },
    stop: async () => {
      await Promise.all([postgres.stop(), temporal.stop()]);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** A folder for servers that live no longer than this process; what killed ones have left under the same prefix is swept. */
export async function makeServersFolder(prefix: string): Promise<string> {
  await sweepLeftovers(prefix);
  const home = await mkdtemp(join(tmpdir(), prefix));
  await recordPart(home, 'starter', await ownIdentity());
  return home;
}

/** A run that was killed leaves its servers and folder; the next one ends them, if their starter is gone. */
async function sweepLeftovers(prefix: string): Promise<void> {
  await mkdir(tmpdir(), { recursive: true });
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const home = join(tmpdir(), name);
    const starter = await readJsonFile(join(home, 'run', 'starter.json'));
    if (starter === null || (await isRunning(starter as ProcessIdentity))) continue;
    await sweepPart(home, 'postgres', postgresStopSteps);
    await sweepPart(home, 'temporal', temporalStopSteps);
    await rm(home, { recursive: true, force: true });
  }
}

async function ownIdentity(): Promise<ProcessIdentity> {
  const identity = await identifyProcess(process.pid);
  if (identity === null) throw new Error('This process does not find itself in the process table.');
  return identity;
}
