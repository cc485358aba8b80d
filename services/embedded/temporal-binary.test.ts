import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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

/** A `go` that "builds" by writing the program, so slowly that a second start meets the first. */
async function placeGo(): Promise<string> {
  const go = join(folder, 'go-bin', 'go');
  await mkdir(join(go, '..'), { recursive: true });
  const built = '#!/bin/sh\\necho "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)"\\n';
  await writeFile(
    go,
    `#!/bin/sh\ncase "$1" in install) echo built >> ${folder}/builds; /bin/sleep 1; printf '${built}' > "$GOBIN/temporal"; /bin/chmod +x "$GOBIN/temporal";; esac\n`,
  );
  await chmod(go, 0o755);
  return join(folder, 'go-bin');
}

test('of two first starts one builds, the other says that it waits; drafts of killed ones are swept', async () => {
  const path = await placeGo();
  const cache = join(folder, 'cache', 'temporal-1.5.1');
  await mkdir(join(cache, 'draft-of-a-killed-start'), { recursive: true });
  await writeFile(join(cache, 'maker.json'), JSON.stringify({ pid: 4_000_000, started: 'x' }));
  const said: string[] = [];
  const start = (): Promise<string> => findTemporalBinary({ cache: join(folder, 'cache'), environment: closed(path), say: (line) => said.push(line) });
  expect(await Promise.all([start(), start()])).toEqual([join(cache, 'temporal'), join(cache, 'temporal')]);
  expect(await readFile(join(folder, 'builds'), 'utf8')).toBe('built\n');
  expect(said.filter((line) => line.startsWith('Another start'))).not.toEqual([]);
  expect(await readdir(cache)).toEqual(['temporal']);
});

test('a build that cannot work ends without promising six minutes', async () => {
  const go = join(folder, 'go-bin', 'go');
  await mkdir(join(go, '..'), { recursive: true });
  await writeFile(go, '#!/bin/sh\ncase "$1" in install) echo "module lookup disabled" >&2; exit 1;; esac\n');
  await chmod(go, 0o755);
  const said: string[] = [];
  const start = findTemporalBinary({ cache: join(folder, 'cache'), environment: closed(join(go, '..')), say: (line) => said.push(line) });
  await expect(start).rejects.toMatchObject({ code: 'temporal_not_found', message: expect.stringContaining('module lookup disabled') });
  expect(said.filter((line) => line.includes('minutes'))).toEqual([]);
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
