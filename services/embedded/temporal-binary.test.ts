import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findTemporalBinary } from './temporal-binary.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-temporal-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program that says which server it carries, as the real one does. */
async function placeProgram(path: string, version: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "temporal version ${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

/** Ways out of the machine are closed: the download goes to a proxy that is not there, Go may not fetch. */
const closed = (path: string): Record<string, string> => ({
  PATH: path,
  HOME: folder,
  HTTPS_PROXY: 'http://127.0.0.1:9',
  GOPROXY: 'off',
  GOMODCACHE: join(folder, 'modules'),
});
const search = (path: string): Promise<string> => findTemporalBinary({ cache: join(folder, 'cache'), environment: closed(path), say: () => undefined });

test('the one on PATH comes first, then the one in the cache', async () => {
  const cached = await placeProgram(join(folder, 'cache', 'temporal-1.5.1', 'temporal'), '1.5.1 (Server 1.29.1, UI 2.42.1)');
  expect(await search('/nowhere')).toBe(cached);
  const onPath = await placeProgram(join(folder, 'bin', 'temporal'), '1.6.0 (Server 1.30.0, UI 2.43.0)');
  expect(await search(join(folder, 'bin'))).toBe(onPath);
});

test('one that carries too old a server is passed over', async () => {
  const cached = await placeProgram(join(folder, 'cache', 'temporal-1.5.1', 'temporal'), '1.5.1 (Server 1.29.1, UI 2.42.1)');
  await placeProgram(join(folder, 'bin', 'temporal'), '1.0.0 (Server 1.24.2, UI 2.26.2)');
  expect(await search(join(folder, 'bin'))).toBe(cached);
});

test('where none can be had, one error names the five ways and why each failed, within seconds', async () => {
  const since = performance.now();
  const failure = await search('/nowhere').catch((error: unknown) => error as Error);
  expect(performance.now() - since).toBeLessThan(20_000);
  expect(failure).toMatchObject({ code: 'temporal_not_found' });
  const lines = String((failure as Error).message)
    .split('\n')
    .slice(1);
  expect(lines.map((line) => line.trim().slice(0, 2))).toEqual(['1.', '2.', '3.', '4.', '5.']);
  expect(lines[4]).toContain('Go is not installed');
});
