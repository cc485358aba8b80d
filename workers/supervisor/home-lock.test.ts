import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockHome } from './home-lock.ts';

let home: string;
const now = new Date('2026-01-02T03:04:05Z');
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-lock-'));
  await mkdir(join(home, 'run'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const holder = join('run', 'supervisor.json');

test('a second start hears who holds the home, since when and where', async () => {
  const lock = await lockHome(home, now);
  await expect(lockHome(home, now)).rejects.toMatchObject({ code: 'home_in_use', message: expect.stringContaining('still starting') });
  await lock.announce('http://127.0.0.1:3000');
  const wanted = new RegExp(`process ${process.pid}, since 2026-01-02T03:04:05.000Z, at http://127.0.0.1:3000`);
  await expect(lockHome(home, now)).rejects.toMatchObject({ code: 'home_in_use', message: expect.stringMatching(wanted) });
  await lock.release();
  await (await lockHome(home, now)).release();
});

test.each([
  ['a process that is gone', JSON.stringify({ pid: 4_000_000, started: 'x', since: 'y', url: null })],
  ['a process whose number has another one now', JSON.stringify({ pid: process.pid, started: 'before the restart', since: 'y', url: null })],
  ['half a line', '{"pid": 1'],
  ['nothing', ''],
])('a lock that names %s is taken over', async (_, text) => {
  await writeFile(join(home, holder), text);
  await lockHome(home, now);
  expect(JSON.parse(await readFile(join(home, holder), 'utf8'))).toMatchObject({ pid: process.pid });
});

test('of many starts at once over a stale lock, one wins', async () => {
  await writeFile(join(home, holder), JSON.stringify({ pid: 4_000_000, started: 'x', since: 'y', url: null }));
  // One process is one holder to the lock, so "wins" shows as exactly one that does not find the home in use.
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockHome(home, now)));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});
