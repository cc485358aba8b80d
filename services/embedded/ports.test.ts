import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isPortFree, stablePorts } from './ports.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-ports-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

test('ports stay the same from start to start, differ from each other, and lie below those of outgoing connections', async () => {
  const names = ['one', 'two', 'three'] as const;
  const first = await stablePorts(home, names);
  expect(new Set(Object.values(first)).size).toBe(3);
  for (const port of Object.values(first)) expect(port).toBeLessThan(32_768);
  expect(await stablePorts(home, names)).toEqual(first);
});

test('a port that another program has taken meanwhile is chosen anew, the others stay', async () => {
  const first = await stablePorts(home, ['one', 'two']);
  const other = createServer().listen(first.one, '127.0.0.1');
  await once(other, 'listening');
  expect(await isPortFree(first.one)).toBe(false);
  const second = await stablePorts(home, ['one', 'two']);
  expect(second.one).not.toBe(first.one);
  expect(second.two).toBe(first.two);
  other.close();
});

test('a half-written file of ports is made anew', async () => {
  await stablePorts(home, ['one']);
  await writeFile(join(home, 'run', 'ports.json'), '{"one": 2');
  expect((await stablePorts(home, ['one'])).one).toBeGreaterThan(1_024);
});
