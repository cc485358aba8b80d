import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { projectRoot, readConfiguration } from '#config';
import { runSupervisor } from './run-supervisor.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-supervisor-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const program = { file: join(tmpdir(), 'never-started.ts'), nodeOptions: [], graceMs: 100 };

test('a stop that comes before anything was started ends the start', async () => {
  const prepared: string[] = [];
  const stopped = runSupervisor({
    configuration: readConfiguration({ KOS_HOME: home, KOS_PORT: '0', DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/kos', TEMPORAL_ADDRESS: '127.0.0.1:1' }),
    projectRoot,
    environment: {},
    worker: { name: 'worker', ...program },
    api: { name: 'api', ...program },
    prepareDatabase: async () => {
      prepared.push('database');
      throw new Error('never reached');
    },
    print: () => undefined,
    end: AbortSignal.abort(),
    isTerminal: false,
    showExample: false,
  });
  await expect(stopped).resolves.toBeUndefined();
  expect(prepared).toEqual([]);
  expect(await readdir(join(home, 'run'))).toEqual([]);
}, 3_000);
