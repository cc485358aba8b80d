import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { projectRoot, readConfiguration } from '#config';
import type { DatabaseAddress } from '#services/database/address.ts';
import { readPartFacts } from '#services/embedded/part.ts';
import { openLogs } from './log-files.ts';
import { type Stack, makeStack } from './stack.ts';

let home: string;
/** Somebody listens at the address that is configured for Temporal. */
const temporal = createServer().listen(0, '127.0.0.1');
beforeAll(() => (temporal.listening ? undefined : once(temporal, 'listening')));
afterAll(() => temporal.close());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-stack-'));
  for (const folder of ['run', 'logs']) await mkdir(join(home, folder));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const program = { file: join(tmpdir(), 'not-there.ts'), nodeOptions: [], graceMs: 100 };

const stackOn = (environment: Record<string, string>, prepare: (administrator: DatabaseAddress) => Promise<DatabaseAddress>): Stack =>
  makeStack({
    configuration: readConfiguration({ KOS_HOME: home, TEMPORAL_ADDRESS: `127.0.0.1:${(temporal.address() as AddressInfo).port}`, ...environment }),
    // Nobody listens there: a kOS that runs on this machine must not answer for this one.
    address: { host: '127.0.0.1', port: 1, localUrl: 'http://127.0.0.1:1', publicUrl: 'http://127.0.0.1:1' },
    projectRoot,
    environment: {},
    worker: { name: 'worker', ...program },
    api: { name: 'api', ...program },
    prepareDatabase: async (administrator) => {
      const prepared = await prepare(administrator);
      return { app: { ...prepared, user: 'kos_app', password: 'a' }, system: { ...prepared, user: 'kos_system', password: 's' } };
    },
    logs: openLogs(join(home, 'logs'), () => undefined),
    say: () => undefined,
  });

const pooled = 'postgres://me:secret@pooler:6432/kos';
const direct = 'postgres://me:secret@server:5432/kos';

test('a configured database is prepared and listened to past its pooler, and used through it', async () => {
  // The programs are not there, so the start fails once everything is known.
  await expect(stackOn({ DATABASE_URL: pooled, DATABASE_URL_DIRECT: direct }, async (address) => address).start()).rejects.toMatchObject({
    code: expect.stringMatching(/^(part_not_started|start_failed)$/),
  });
  const { database } = await readPartFacts(join(home, 'run', 'part-facts.json'));
  expect(database).toMatchObject({
    app: { host: 'pooler', port: 6432, user: 'kos_app', password: 'a' },
    system: { host: 'pooler', port: 6432, user: 'kos_system', password: 's' },
    listen: { host: 'server', port: 5432, user: 'kos_app', password: 'a' },
  });
});

test.each([
  ['an address that is none', 'mysql://me:secret@server/kos', new Error('never asked'), 'must look like'],
  ['a server that is not there', direct, Object.assign(new Error(''), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
  ['a wrong password', direct, new Error('password authentication failed for user "me"'), 'authentication failed'],
])('a configured database with %s is told with a remedy, without its password', async (_, url, failure, wanted) => {
  const stack = stackOn({ DATABASE_URL: url }, () => Promise.reject(failure));
  const error: unknown = await stack.start().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'database_unusable', message: expect.stringContaining(wanted), fix: expect.stringContaining('DATABASE_URL') });
  expect((error as Error).message).not.toContain('secret');
});
