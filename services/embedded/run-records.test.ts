import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identifyProcess } from './process-identity.ts';
import { recordPart, sweepPart } from './run-records.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-records-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

test('what was left behind is ended, even when it ignores the gentle signal, and forgotten', async () => {
  const child = spawn(process.execPath, ['-e', `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  const identity = await identifyProcess(child.pid as number);
  if (identity === null) throw new Error('It runs, so it must be found.');
  await recordPart(home, 'worker', identity);
  expect((await stat(join(home, 'run', 'worker.json'))).mode & 0o777).toBe(0o600);
  expect(await sweepPart(home, 'worker', [{ signal: 'SIGTERM', graceMs: 100 }])).toBe(child.pid);
  await ended;
  await expect(readFile(join(home, 'run', 'worker.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await sweepPart(home, 'worker', [])).toBeNull();
});

test('a record of a process that is gone, or one that is half-written, sweeps nothing', async () => {
  await recordPart(home, 'worker', { pid: process.pid, started: 'long ago' });
  expect(await sweepPart(home, 'worker', [])).toBeNull();
  await writeFile(join(home, 'run', 'worker.json'), '{"pid": 12');
  expect(await sweepPart(home, 'worker', [])).toBeNull();
});
