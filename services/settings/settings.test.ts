import { expect, it } from 'vitest';
import type { Database } from '#services/database/connect.ts';
import { builtInRoots, createSettingsReader, toolSettings } from './settings.ts';

it('gives tools the built-in folders first, then what admins added', () => {
  const settings = { roots: [{ path: '/srv/data', write: true }], egress: ['api.example.com:443'] };
  expect(toolSettings(settings, builtInRoots({ home: '/home/kos', projectRoot: '/opt/kos' }))).toEqual({
    roots: [
      { path: '/home/kos/logs', write: false },
      { path: '/home/kos/workspace', write: true },
      { path: '/opt/kos/examples', write: false },
      { path: '/var/log', write: false },
      { path: '/srv/data', write: true },
    ],
    egress: ['api.example.com:443'],
  });
});

it('reads each workspace’s settings once in 1.5 s, and asks again after a failure', async () => {
  let [now, reads, failing] = [0, 0, false];
  const database: Pick<Database, 'inWorkspace'> = {
    inWorkspace: async <Result>() => {
      reads += 1;
      if (failing) throw new Error('the database is gone');
      return { roots: [], egress: [], retention: { runsDays: reads, eventsDays: 30 } } as Result;
    },
  };
  const reader = createSettingsReader({ database: database as Database, now: () => now });
  const runsDays = async (): Promise<number> => (await reader.settingsFor('ws_1')).retention.runsDays;
  expect(await Promise.all([runsDays(), runsDays()])).toEqual([1, 1]);
  now = 1_499;
  expect(await runsDays()).toBe(1);
  now = 1_500;
  failing = true;
  await expect(runsDays()).rejects.toThrow('the database is gone');
  failing = false;
  expect(await runsDays()).toBe(3);
});
