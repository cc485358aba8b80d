import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeFreeSpace, prepareHome } from './home-folder.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-home-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a home and what is private in it are closed to others, also when they were open', async () => {
  const home = join(folder, 'deep', 'home');
  await prepareHome(home);
  await chmod(home, 0o755);
  await chmod(join(home, 'keys'), 0o755);
  await prepareHome(home);
  for (const path of [home, join(home, 'keys'), join(home, 'run')]) expect((await stat(path)).mode & 0o777).toBe(0o700);
});

test('a folder that holds other things is not taken', async () => {
  await expect(prepareHome(homedir())).rejects.toMatchObject({ code: 'home_unsuitable' });
  await expect(prepareHome('/')).rejects.toMatchObject({ code: 'home_unsuitable' });
  await chmod(folder, 0o1777);
  await expect(prepareHome(folder)).rejects.toMatchObject({ code: 'home_unsuitable' });
});

test("an open folder with somebody else's files is not closed; one that only a file system made is taken", async () => {
  await chmod(folder, 0o755);
  await writeFile(join(folder, 'notes.txt'), '');
  await expect(prepareHome(folder)).rejects.toMatchObject({ code: 'home_unsuitable', message: expect.stringContaining('notes.txt') });
  expect((await stat(folder)).mode & 0o777).toBe(0o755);
  await rm(join(folder, 'notes.txt'));
  await mkdir(join(folder, 'lost+found'));
  await prepareHome(folder);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
});

test('a home that cannot be made is named', async () => {
  await writeFile(join(folder, 'file'), '');
  await expect(prepareHome(join(folder, 'file', 'home'))).rejects.toMatchObject({ code: 'home_not_writable', message: expect.stringContaining(folder) });
});

test.skipIf(process.platform !== 'linux')('a home where the system takes no folders is named at once', async () => {
  await expect(prepareHome('/proc/kos-home/deep')).rejects.toMatchObject({ code: 'home_not_writable', message: expect.stringContaining('/proc/kos-home') });
});

test('less than 1 GB free is said, more is not', () => {
  expect(describeFreeSpace('/data', 999_000_000)).toContain('999 MB');
  expect(describeFreeSpace('/data', 1_000_000_000)).toBeNull();
});
