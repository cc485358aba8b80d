import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WorkspaceSettings } from '#schemas/settings.ts';
import { refuseUnusable } from './unusable.ts';

let folder: string;
let home: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-settings-'));
  home = join(folder, 'home');
  for (const name of ['keys', 'logs', 'workspace']) await mkdir(join(home, name), { recursive: true });
  await symlink(join(home, 'keys'), join(folder, 'elsewhere'));
});
afterAll(() => rm(folder, { recursive: true }));

const none: Pick<WorkspaceSettings, 'roots' | 'egress'> = { roots: [], egress: [] };
const judge = (egress: string[], roots: string[], before = none) =>
  refuseUnusable(before, { egress, roots: roots.map((path) => ({ path, write: false })) }, { home, ownPorts: [3000] });

describe('hosts that no tool would be let through to', () => {
  it.each([
    ['169.254.169.254:80', 'metadata'],
    ['2852039166:80', 'metadata'],
    ['metadata.google.internal:80', 'metadata'],
    ['[::ffff:169.254.169.254]:80', 'metadata'],
    ['127.0.0.1:3000', 'a port of kOS itself'],
    ['0x7f.1:3000', 'a port of kOS itself'],
    ['[::1]:3000', 'a port of kOS itself'],
    ['localhost:3000', 'a port of kOS itself'],
    ['a.localhost:3000', 'a port of kOS itself'],
    ['*.localhost:3000', 'a port of kOS itself'],
    ['api.example.com:0', 'no port'],
    ['api.example.com:65536', 'no port'],
    ['*.10.0.0.1:443', 'below an address'],
  ])('%s is refused', async (entry, why) => {
    await expect(judge([entry], [])).rejects.toMatchObject({
      code: 'settings_unusable',
      status: 422,
      details: [{ pointer: '/egress/0', message: expect.stringContaining(why) }],
    });
  });

  it.each(['api.example.com:443', '*.example.com:443', '127.0.0.1:3001', 'localhost:3001', '10.0.0.5:3000', '[fd00::1]:443', 'example.com:3000'])(
    '%s is taken',
    async (entry) => expect(await judge([entry], [])).toBeUndefined(),
  );
});

describe('folders that no tool would be let into', () => {
  it("kOS's own and the system's, also under another name", async () => {
    const closed = [home, join(home, 'keys'), join(folder, 'elsewhere'), join(home, 'postgres', 'base'), '/proc', '/proc/self/fd', '/dev', '/sys/class'];
    await expect(judge([], ['/srv', ...closed])).rejects.toMatchObject({
      details: closed.map((path, index) => ({ pointer: `/roots/${index + 1}/path`, message: expect.stringContaining(path) })),
    });
  });

  it('others are taken, there or not, around the home or inside what it opens', async () => {
    expect(await judge([], [folder, '/', join(folder, 'not-yet'), join(home, 'workspace', 'mine'), join(home, 'logs')])).toBeUndefined();
  });
});

it('what was there before holds up no other change', async () => {
  const before = { egress: ['127.0.0.1:3000'], roots: [{ path: '/proc', write: false }] };
  expect(await judge(['127.0.0.1:3000', 'api.example.com:443'], ['/proc'], before)).toBeUndefined();
});
