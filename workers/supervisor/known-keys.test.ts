import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refuseLostKeys, rememberKeys } from './known-keys.ts';

let home: string;
const key = (name: string): string => join(home, 'keys', name);
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-keys-'));
  for (const folder of ['run', 'keys', 'postgres']) await mkdir(join(home, folder));
  for (const name of ['payload-1.key', 'secret-1.key', 'secret-2.key', 'database-roles.json']) await writeFile(key(name), 'kept');
});
afterEach(() => rm(home, { recursive: true, force: true }));

test('a home that was never ready, and one that has all its keys, start', async () => {
  await rm(key('secret-1.key'));
  await refuseLostKeys(home, false);
  await rememberKeys(home);
  await refuseLostKeys(home, false);
  expect(await readdir(join(home, 'run'))).toEqual(['known-keys.json']);
});

test('a key that is missing, or empty, is named with the way out; no new one takes its place unasked', async () => {
  await rememberKeys(home);
  await rm(key('secret-1.key'));
  await writeFile(key('payload-1.key'), '');
  const refusal = expect.objectContaining({
    code: 'keys_lost',
    message: expect.stringMatching(/payload-1\.key, secret-1\.key are missing/),
    fix: expect.stringContaining(join(home, 'run', 'known-keys.json')),
  });
  await expect(refuseLostKeys(home, false)).rejects.toEqual(refusal);
  await rm(join(home, 'postgres'), { recursive: true });
  await expect(refuseLostKeys(home, true)).rejects.toEqual(refusal);
  // Nothing is sealed in a home whose data was removed, too.
  await refuseLostKeys(home, false);
});

test('who follows the way out starts with new keys', async () => {
  await rememberKeys(home);
  await rm(key('secret-1.key'));
  await rm(join(home, 'run', 'known-keys.json'));
  await expect(refuseLostKeys(home, false)).resolves.toBeUndefined();
});
