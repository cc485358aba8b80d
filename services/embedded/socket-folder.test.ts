import { chmod, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { reachableSocketFolder } from './socket-folder.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kos-socket-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const makeLongFolder = async (): Promise<string> => {
  const folder = join(root, 'long'.repeat(30), 'postgres');
  await mkdir(folder, { recursive: true });
  return folder;
};

test('a short path is used as it is', async () => {
  expect((await reachableSocketFolder(root, 5432)).path).toBe(root);
});

test('a long path is reached through a short private link, which goes away again', async () => {
  const folder = await makeLongFolder();
  const socket = await reachableSocketFolder(folder, 5432);
  expect(Buffer.byteLength(socket.path)).toBeLessThan(90);
  expect(await realpath(socket.path)).toBe(await realpath(folder));
  await socket.release();
  expect(await readdir(dirname(dirname(socket.path)))).not.toContain(dirname(socket.path).split('/').at(-1));
});

test('a folder that others may write is not trusted with the link', async () => {
  const folder = await makeLongFolder();
  const first = await reachableSocketFolder(folder, 5432);
  await chmod(dirname(first.path), 0o777);
  const second = await reachableSocketFolder(folder, 5432);
  expect(dirname(second.path)).not.toBe(dirname(first.path));
  await chmod(dirname(first.path), 0o700);
  await Promise.all([first.release(), second.release()]);
});
