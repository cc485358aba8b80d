import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refuseUnusableKeys, rememberKeys } from './known-keys.ts';

let home: string;
const key = (name: string): string => join(home, 'keys', name);
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-keys-'));
  for (const folder of ['run', 'keys', 'postgres']) await mkdir(join(home, folder));
  for (const name of ['payload-1.key', 'secret-1.key', 'secret-2.key', 'database-roles.json'])
    await writeFile(key(name), randomBytes(32).toString('base64'), { mode: 0o600 });
});
afterEach(() => rm(home, { recursive: true, force: true }));

test('a home that was never ready, and one that has all its keys, start', async () => {
  await rm(key('secret-1.key'));
  await refuseUnusableKeys(home, false);
  await rememberKeys(home);
  await refuseUnusableKeys(home, false);
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
  await expect(refuseUnusableKeys(home, false)).rejects.toEqual(refusal);
  await rm(join(home, 'postgres'), { recursive: true });
  await expect(refuseUnusableKeys(home, true)).rejects.toEqual(refusal);
  // Nothing is sealed in a home whose data was removed, too.
  await refuseUnusableKeys(home, false);
});

test('a key that is there and is none, or that others may read, is named before any part can die of it', async () => {
  await rememberKeys(home);
  await chmod(key('secret-2.key'), 0o644);
  await expect(refuseUnusableKeys(home, false)).rejects.toMatchObject({ code: 'key_file_exposed', fix: `chmod 600 ${key('secret-2.key')}` });
  await writeFile(key('secret-1.key'), 'half a k');
  await expect(refuseUnusableKeys(home, false)).rejects.toMatchObject({
    code: 'key_file_damaged',
    message: expect.stringContaining(key('secret-1.key')),
    fix: expect.stringContaining('from a copy'),
  });
});

test('who follows the way out starts with new keys', async () => {
  await rememberKeys(home);
  await rm(key('secret-1.key'));
  await rm(join(home, 'run', 'known-keys.json'));
  await expect(refuseUnusableKeys(home, false)).resolves.toBeUndefined();
});
