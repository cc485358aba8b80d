import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';
import { environment, projectRoot } from '#config';
import type { PartFacts } from '#services/embedded/part.ts';
import { readCliFile } from '#services/installation/owner-key.ts';
import { apiProgram } from '#workers/supervisor/programs.ts';
import type { TestDatabase } from './test-database.ts';

/** The product's own API as a process, over the database of a suite: it can be killed, and comes back under the same address. */
export interface ApiProcess {
  url: string;
  /** The owner's local key, once `start` has returned. */
  apiKey(): string;
  workspaceId(): Promise<string>;
  /** Resolves when it answers. */
  start(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Everything it has logged, as JSON lines. */
  log(): Promise<string>;
  close(): Promise<void>;
}

export async function makeApiProcess(rig: TestDatabase): Promise<ApiProcess> {
  const home = await mkdtemp(join(tmpdir(), 'kos-api-process-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const facts: PartFacts = {
    home,
    host: '127.0.0.1',
    port,
    publicUrl: url,
    temporal: inject('servers').temporal,
    database: rig.addresses,
    ownPorts: [port],
  };
  const [factsFile, logFile] = [join(home, 'part-facts.json'), join(home, 'api.jsonl')];
  await writeFile(factsFile, JSON.stringify(facts), { mode: 0o600 });
  const output = await open(logFile, 'a');
  let child: ChildProcess | null = null;
  let apiKey = '';

  const kill = async (): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };

  const start = async (): Promise<void> => {
    child = spawn(process.execPath, [...apiProgram.nodeOptions, apiProgram.file], {
      cwd: projectRoot,
      env: { ...environment, KOS_HOME: home, KOS_PART_FACTS: factsFile },
      // The channel ends it with the test, even when that is killed.
      stdio: ['ignore', output.fd, output.fd, 'ipc'],
    });
    while (!(await answers(url))) {
      if (child.exitCode !== null) throw new Error(`The API ended by itself:\n${await readFile(logFile, 'utf8')}`);
      await sleep(20);
    }
    apiKey = (await readCliFile(home))?.apiKey ?? '';
  };

  return {
    url,
    apiKey: () => apiKey,
    workspaceId: async () => {
      const [row] = await rig.system.sql<{ id: string }[]>`
        select c.workspace_id as id from kos.credentials c where c.kind = 'owner_key' and c.revoked_at is null`;
      return row?.id ?? '';
    },
    start,
    kill,
    log: () => readFile(logFile, 'utf8'),
    close: async () => {
      await kill();
      await output.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

const answers = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  );

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
