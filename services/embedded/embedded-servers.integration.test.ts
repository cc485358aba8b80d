import { mkdir, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Connection } from '@temporalio/client';
import postgres from 'postgres';
import { describe, expect, inject, test } from 'vitest';
import { environment, readConfiguration } from '#config';
import { makeServersFolder } from '#tests/rig/servers.ts';
import { findFreePort } from './ports.ts';
import { findTemporalBinary } from './temporal-binary.ts';
import { startTemporal } from './temporal-server.ts';
import { temporalPortNames } from './temporal-settings.ts';

describe('the servers that a test run shares', () => {
  test('Postgres answers its superuser over a socket, with SCRAM and the settings it was given', async () => {
    const { postgres: facts } = inject('servers');
    const sql = postgres({ ...facts, max: 1 });
    try {
      const [row] = await sql`select current_database() as database, inet_server_addr() as address, current_setting('shared_buffers') as buffers`;
      expect(row).toEqual({ database: 'kos', address: null, buffers: '64MB' });
    } finally {
      await sql.end();
    }
  });

  test('Postgres refuses a wrong password, on the socket too', async () => {
    const { postgres: facts } = inject('servers');
    const sql = postgres({ ...facts, password: 'wrong', max: 1 });
    await expect(sql`select 1`).rejects.toMatchObject({ code: '28P01' });
    await sql.end();
  });

  test('Temporal keeps closed workflows for seven days and knows the workspace attribute', async () => {
    const { temporal } = inject('servers');
    const connection = await Connection.connect({ address: temporal.address });
    try {
      const { config } = await connection.workflowService.describeNamespace({ namespace: temporal.namespace });
      expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(7 * 24 * 60 * 60);
      const attributes = await connection.operatorService.listSearchAttributes({ namespace: temporal.namespace });
      expect(Object.keys(attributes.customAttributes ?? {})).toContain('KosWorkspace');
    } finally {
      await connection.close();
    }
  });
});

test.each([
  ['garbage', (file: string) => writeFile(file, 'this is no database at all\n'.repeat(1_000))],
  ['half of it', async (file: string) => truncate(file, Math.floor((await stat(file)).size / 2 / 4096) * 4096 - 100)],
])('a Temporal whose file is %s starts with a new one, and keeps the old one', async (_, damage) => {
  const said: string[] = [];
  const quiet = (): void => undefined;
  const binary = await findTemporalBinary({ cache: readConfiguration(environment).cache, environment, say: quiet });
  const home = await makeServersFolder('kos-tests-damaged-');
  const start = () => startTemporal({ home, binary, namespace: 'default', onLine: quiet, say: (line) => said.push(line), durable: false });
  try {
    await (await start()).stop();
    const file = join(home, 'temporal', 'temporal.db');
    // Else its write-ahead log would heal it.
    const store = new DatabaseSync(file);
    store.exec('pragma wal_checkpoint(truncate)');
    store.close();
    await damage(file);
    const server = await start();
    await server.stop();
    expect(said).toEqual([expect.stringContaining('is damaged')]);
    const kept = (await readdir(home)).filter((name) => name.startsWith('temporal.damaged-'));
    expect(kept).toHaveLength(1);
    expect(await readdir(join(home, kept[0] ?? ''))).toContain('temporal.db');
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

test('homes that are copies of each other start at once, each at ports of its own', async () => {
  const quiet = (): void => undefined;
  const binary = await findTemporalBinary({ cache: readConfiguration(environment).cache, environment, say: quiet });
  const ports: Record<string, number> = {};
  for (const name of temporalPortNames) ports[name] = await findFreePort('127.0.0.1', Object.values(ports));
  const homes = await Promise.all([1, 2, 3].map(() => makeServersFolder('kos-tests-copies-')));
  for (const home of homes) {
    await mkdir(join(home, 'run'), { recursive: true });
    await writeFile(join(home, 'run', 'ports.json'), JSON.stringify(ports));
  }
  const started = await Promise.all(homes.map((home) => startTemporal({ home, binary, namespace: 'default', onLine: quiet, say: quiet, durable: false })));
  try {
    expect(new Set(started.map(({ facts }) => facts.address)).size).toBe(homes.length);
  } finally {
    await Promise.all(started.map((server) => server.stop()));
    await Promise.all(homes.map((home) => rm(home, { recursive: true, force: true })));
  }
});
