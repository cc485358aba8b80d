import { link, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { executeTool } from '#services/tools/execute.ts';
import { fileFailure } from '#services/tools/files/failures.ts';
import { fileTools } from '#services/tools/files/tools.ts';
import { createToolRegistry } from '#services/tools/registry.ts';
import { failureOf, toolContext } from '#services/tools/tool.conformance.ts';
import { type AllowedRoot, type Tool, ToolFailure } from '#services/tools/tool.ts';

const command = promisify(execFile);
const base = await realpath(await mkdtemp(join(tmpdir(), 'kos-files-')));
const home = join(base, 'home');
const workspace = join(home, 'workspace');
const data = join(base, 'data');
const registry = createToolRegistry(fileTools({ home }));

beforeEach(async () => {
  await rm(base, { recursive: true, force: true });
  for (const folder of [workspace, join(home, 'logs'), join(home, 'keys'), data, join(base, 'outside')]) await mkdir(folder, { recursive: true });
  await writeFile(join(home, 'cli.json'), 'OWNER-KEY');
  await writeFile(join(home, 'keys', 'payload.key'), 'OWNER-KEY');
  await writeFile(join(home, 'logs', 'api.log'), 'log line\n');
  await writeFile(join(data, 'a.txt'), 'hello\nworld\n');
  await writeFile(join(base, 'outside', 'secret.txt'), 'OUTSIDE');
});
afterAll(() => rm(base, { recursive: true, force: true }));

/** Null for who may not mount; else what takes it away again. */
async function mountAgain(place: string, elsewhere: string): Promise<(() => Promise<unknown>) | null> {
  await mkdir(elsewhere, { recursive: true });
  return await command('mount', ['--bind', place, elsewhere]).then(
    () => () => command('umount', [elsewhere]),
    () => null,
  );
}

const tool = (name: string): Tool => {
  const found = registry.get(name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  return found;
};
const roots = (...extra: AllowedRoot[]): { roots: AllowedRoot[]; egress: string[] } => ({
  roots: [{ path: join(home, 'logs'), write: false }, { path: workspace, write: true }, { path: data, write: false }, ...extra],
  egress: [],
});
const run = (name: string, input: unknown, ...extra: AllowedRoot[]): Promise<Record<string, unknown>> =>
  executeTool(tool(name), input, toolContext(roots(...extra))) as Promise<Record<string, unknown>>;
const fail = (name: string, input: unknown, ...extra: AllowedRoot[]): Promise<ToolFailure> => failureOf(tool(name), input, toolContext(roots(...extra)));

describe('what is inside the roots', () => {
  it('is listed, read and searched, relative to the workspace or absolute', async () => {
    await run('fs.write', { path: 'notes/one.txt', content: 'first\nsecond hello\n' });
    expect(await run('fs.read', { path: 'notes/one.txt' })).toMatchObject({ content: 'first\nsecond hello\n', bytes: 19, nextOffset: null });
    expect(await run('fs.read', { path: join(home, 'logs', 'api.log') })).toMatchObject({ content: 'log line\n' });
    const listed = await run('fs.list', { path: '.', recursive: true });
    expect((listed.entries as { name: string }[]).map(({ name }) => name)).toEqual(['notes', 'notes/one.txt']);
    expect(await run('fs.search', { path: workspace, query: 'HELLO', caseSensitive: false })).toMatchObject({
      matches: [{ file: 'notes/one.txt', line: 2, text: 'second hello' }],
      filesSearched: 1,
    });
  });

  it('may be reached through a link that stays inside', async () => {
    await symlink(join(data, 'a.txt'), join(workspace, 'alias'));
    expect(await run('fs.read', { path: 'alias' })).toMatchObject({ content: 'hello\nworld\n', path: join(data, 'a.txt') });
  });

  it('is read in windows that do not cut characters', async () => {
    await writeFile(join(workspace, 'wide.txt'), 'aé€😀z');
    let offset: number | null = 0;
    let text = '';
    while (offset !== null) {
      const window = await run('fs.read', { path: 'wide.txt', offset, maxBytes: 4 });
      text += String(window.content);
      offset = window.nextOffset as number | null;
    }
    expect(text).toBe('aé€😀z');
  });

  it('is read in windows of every size that is allowed, and never stands still', async () => {
    await writeFile(join(workspace, 'bytes'), Buffer.alloc(6 * 1024 * 1024, 0xff));
    const window = await run('fs.read', { path: 'bytes', encoding: 'base64', maxBytes: 5 * 1024 * 1024 });
    expect(window).toMatchObject({ nextOffset: 5 * 1024 * 1024 });
    expect(await fail('fs.read', { path: 'wide.txt', maxBytes: 3 })).toMatchObject({ code: 'tool_input_invalid' });
  });

  it('is not cut silently, and binary is not shown as text', async () => {
    await writeFile(join(workspace, 'large'), Buffer.alloc(5 * 1024 * 1024));
    expect(await fail('fs.read', { path: 'large' })).toMatchObject({ code: 'file_too_large', effect: 'none' });
    await writeFile(join(workspace, 'binary'), Buffer.from([0xff, 0xfe, 0x00]));
    expect(await fail('fs.read', { path: 'binary' })).toMatchObject({ code: 'not_text' });
    expect(await run('fs.read', { path: 'binary', encoding: 'base64' })).toMatchObject({ content: '//4A' });
  });

  it('says when there is more than was asked for', async () => {
    for (const name of ['a', 'b', 'c']) await writeFile(join(workspace, name), 'same\n');
    expect(await run('fs.list', { limit: 2 })).toMatchObject({ truncated: true });
    expect(await run('fs.list', { limit: 3 })).toMatchObject({ truncated: false });
    expect(await run('fs.search', { query: 'same', limit: 2 })).toMatchObject({ truncated: true });
  });

  it('fails plainly: missing, a folder, a pipe', async () => {
    expect(await fail('fs.read', { path: 'missing' })).toMatchObject({ code: 'not_found', retryable: false });
    expect(await fail('fs.read', { path: data })).toMatchObject({ code: 'not_a_file' });
    expect(await fail('fs.list', { path: join(data, 'a.txt') })).toMatchObject({ code: 'not_a_folder' });
    execFileSync('mkfifo', [join(workspace, 'pipe')]);
    expect(await fail('fs.read', { path: 'pipe' })).toMatchObject({ code: 'not_a_file' });
  });
});

describe('what is outside the roots', () => {
  it.each([
    ['a relative way out', '../../outside/secret.txt'],
    ['a way out through a root', `${'/'}${'x/../'.repeat(1)}etc/hostname`],
    ['an absolute path', '/etc/passwd'],
    ['a path that only begins like a root', `${base}/data-other/x`],
    ['the root of a process', '/proc/self/root/etc/passwd'],
    ['an open file of this process', '/proc/self/fd/0'],
    ['the environment of this process', '/proc/self/environ'],
    ['a device', '/dev/zero'],
    ['the owner’s key', join(home, 'cli.json')],
    ['the owner’s key in other case', join(home, 'CLI.JSON')],
    ['the owner’s key from the workspace', '../cli.json'],
    ['the owner’s key with dots', `${workspace}/./../logs/../cli.json`],
    ['a sealing key', join(home, 'keys/payload.key')],
    ['home itself', home],
  ])('%s is not read', async (_what, path) => {
    for (const name of ['fs.read', 'fs.list', 'fs.search']) {
      expect(await fail(name, { path, ...(name === 'fs.search' ? { query: 'x' } : {}) })).toMatchObject({ code: 'path_refused', effect: 'none' });
    }
  });

  it('is not read through links, of files, folders and links', async () => {
    await symlink(join(home, 'cli.json'), join(workspace, 'file-link'));
    await symlink(home, join(workspace, 'folder-link'));
    await symlink(join(workspace, 'file-link'), join(workspace, 'link-to-link'));
    await symlink('/', join(workspace, 'everything'));
    await symlink('/proc/self/root', join(workspace, 'process-root'));
    for (const path of [
      'file-link',
      'folder-link/cli.json',
      'link-to-link',
      'everything/etc/passwd',
      `everything${home}/cli.json`,
      'process-root/etc/passwd',
    ]) {
      expect(await fail('fs.read', { path }), path).toMatchObject({ code: 'path_refused' });
    }
    expect(await run('fs.search', { query: 'OWNER-KEY' })).toMatchObject({ matches: [] });
  });

  it('is not read under another name on the same disk', async () => {
    await link(join(home, 'cli.json'), join(workspace, 'hard-link'));
    await link(join(data, 'a.txt'), join(workspace, 'harmless-link'));
    expect(await fail('fs.read', { path: 'hard-link' })).toMatchObject({ code: 'path_refused' });
    expect(await run('fs.read', { path: 'harmless-link' })).toMatchObject({ content: 'hello\nworld\n' });
  });

  it('stays closed in home even when home, or all, is allowed', async () => {
    for (const root of [home, base, '/', join(home, 'keys'), join(home, 'cli.json')]) {
      expect(await fail('fs.read', { path: join(home, 'cli.json') }, { path: root, write: true }), root).toMatchObject({ code: 'path_refused' });
      expect(await fail('fs.write', { path: join(home, 'cli.json'), content: '{}' }, { path: root, write: true }), root).toMatchObject({
        code: 'path_refused',
      });
    }
    expect(await fail('fs.read', { path: '/proc/self/environ' }, { path: '/', write: false })).toMatchObject({ code: 'path_refused' });
    const found = await run('fs.search', { path: base, query: 'OWNER-KEY' }, { path: base, write: false });
    expect(found.matches).toEqual([]);
    expect(await readFile(join(home, 'cli.json'), 'utf8')).toBe('OWNER-KEY');
  });

  it('stays closed where home, or a part of it, is mounted a second time', async ({ skip }) => {
    const elsewhere = { path: join(base, 'elsewhere'), write: true };
    for (const [place, readable, closed] of [
      [home, 'logs/api.log', 'cli.json'],
      [base, 'home/logs/api.log', 'home/keys/payload.key'],
      [join(home, 'keys'), null, 'payload.key'],
    ] as const) {
      const unmount = await mountAgain(place, elsewhere.path);
      if (unmount === null) return skip('only who may mount a file system can mount one twice');
      try {
        const path = join(elsewhere.path, closed);
        expect(await fail('fs.read', { path }, elsewhere), path).toMatchObject({ code: 'path_refused', effect: 'none' });
        expect(await fail('fs.write', { path, content: '{}' }, elsewhere), path).toMatchObject({ code: 'path_refused' });
        expect(await fail('fs.create', { path: join(dirname(path), 'new'), content: '' }, elsewhere), path).toMatchObject({ code: 'path_refused' });
        if (readable !== null) expect(await run('fs.read', { path: join(elsewhere.path, readable) }, elsewhere)).toMatchObject({ content: 'log line\n' });
      } finally {
        await unmount();
      }
    }
  });

  it('directly below the top of the disk is not answered with a command that opens all of it', async () => {
    const { fix } = await fail('fs.read', { path: '/no-such-file-at-the-top' });
    expect(fix).toContain(data);
    expect(fix).not.toContain('settings add');
    expect((await fail('fs.write', { path: '/new.txt', content: '' })).fix).toBe(`Put it into a folder that is allowed: ${workspace}.`);
    expect((await fail('fs.list', { path: '/' })).fix).not.toContain('settings add');
  });

  it('is answered with the command that allows it', async () => {
    expect((await fail('fs.read', { path: `${base}/outside/secret.txt` })).fix).toBe(`kai settings add roots ${base}/outside`);
    expect((await fail('fs.list', { path: `${base}/outside` })).fix).toBe(`kai settings add roots ${base}/outside`);
    expect((await fail('fs.write', { path: `${base}/outside/new.txt`, content: '' })).fix).toBe(`kai settings add roots ${base}/outside --write`);
    expect((await fail('fs.read', { path: `${base}/it's here/x` })).fix).toBe(`kai settings add roots '${base}/it'\\''s here'`);
  });

  it('does not tell whether it exists', async () => {
    const [there, missing] = await Promise.all(['/etc/passwd', '/etc/no-such-file'].map((path) => fail('fs.read', { path })));
    expect(there?.message.replace('passwd', '')).toBe(missing?.message.replace('no-such-file', ''));
  });
});

describe('writing', () => {
  it('needs a root that allows it', async () => {
    expect(await fail('fs.write', { path: join(data, 'new.txt'), content: 'x' })).toMatchObject({
      code: 'path_refused',
      fix: `kai settings add roots ${data} --write`,
    });
    expect(await readdir(data)).toEqual(['a.txt']);
  });

  it('replaces whole files, links included, and follows none', async () => {
    await symlink(join(base, 'outside', 'secret.txt'), join(workspace, 'target'));
    await run('fs.write', { path: 'target', content: 'new' });
    expect(await readFile(join(base, 'outside', 'secret.txt'), 'utf8')).toBe('OUTSIDE');
    expect(await readFile(join(workspace, 'target'), 'utf8')).toBe('new');
    await symlink(join(base, 'outside'), join(workspace, 'way-out'));
    for (const name of ['fs.write', 'fs.create']) expect(await fail(name, { path: 'way-out/new.txt', content: 'x' })).toMatchObject({ code: 'path_refused' });
    expect(await readdir(join(base, 'outside'))).toEqual(['secret.txt']);
  });

  it('refuses a folder as a file, and a file as a folder', async () => {
    await mkdir(join(workspace, 'folder/inner'), { recursive: true });
    expect(await fail('fs.write', { path: 'folder', content: 'x' })).toMatchObject({ code: 'not_a_file', effect: 'none' });
    await run('fs.write', { path: 'file', content: 'x' });
    expect(await fail('fs.write', { path: 'file/below', content: 'x' })).toMatchObject({ code: 'not_a_folder' });
    expect(await fail('fs.write', { path: 'x'.repeat(300), content: 'x' })).toMatchObject({ code: 'path_invalid' });
  });

  it('makes missing folders, the workspace itself too', async () => {
    await rm(workspace, { recursive: true });
    expect(await run('fs.create', { path: 'a/b/c.txt', content: 'deep' })).toMatchObject({ created: true, path: join(workspace, 'a/b/c.txt') });
  });

  it('writes bytes given as base64', async () => {
    await run('fs.write', { path: 'bytes', content: '/wAB', encoding: 'base64' });
    expect(await readFile(join(workspace, 'bytes'))).toEqual(Buffer.from([0xff, 0, 1]));
  });

  it('creates once: the same content again is no new effect, another is refused', async () => {
    expect(await run('fs.create', { path: 'once', content: 'one' })).toMatchObject({ created: true, bytes: 3 });
    expect(await run('fs.create', { path: 'once', content: 'one' })).toMatchObject({ created: false, bytes: 3 });
    for (const content of ['two', 'on', 'one more'])
      expect(await fail('fs.create', { path: 'once', content })).toMatchObject({ code: 'already_exists', effect: 'none' });
    expect(await readFile(join(workspace, 'once'), 'utf8')).toBe('one');
  });

  it('lets exactly one of many creators win, and leaves nothing staged', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) => run('fs.create', { path: 'race', content: `by ${index % 2}` }).catch((error: unknown) => error)),
    );
    const winners = outcomes.filter((outcome) => !(outcome instanceof Error) && (outcome as { created: boolean }).created);
    expect(winners).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome instanceof ToolFailure && outcome.code === 'already_exists')).toHaveLength(20);
    expect(await readdir(join(workspace, '.kos-tmp'))).toEqual([]);
  });

  it('shows a reader the old content or the new, never a part', async () => {
    const contents = ['a'.repeat(300_000), 'b'.repeat(200_000)];
    await run('fs.write', { path: 'shared', content: contents[0] });
    const writing = (async () => {
      for (let index = 0; index < 20; index += 1) await run('fs.write', { path: 'shared', content: contents[index % 2] });
    })();
    for (let index = 0; index < 60; index += 1) expect(contents).toContain((await run('fs.read', { path: 'shared' })).content);
    await writing;
  });

  it('hides its staging folder from tools', async () => {
    await run('fs.write', { path: 'x', content: 'x' });
    await writeFile(join(workspace, '.kos-tmp', 'left'), 'x');
    expect(await run('fs.list', { recursive: true })).toMatchObject({ entries: [{ name: 'x' }] });
    expect(await fail('fs.read', { path: '.kos-tmp/left' })).toMatchObject({ code: 'path_refused' });
    expect(await fail('fs.write', { path: '.kos-tmp/left', content: '' })).toMatchObject({ code: 'path_refused' });
  });

  it('sweeps what a dead process left staged', async () => {
    const fresh = join(base, 'fresh');
    await mkdir(join(fresh, '.kos-tmp'), { recursive: true });
    await writeFile(join(fresh, '.kos-tmp', 'old'), 'x');
    await writeFile(join(fresh, '.kos-tmp', 'young'), 'x');
    const twoHoursAgo = new Date(Date.now() - 7_200_000);
    await utimes(join(fresh, '.kos-tmp', 'old'), twoHoursAgo, twoHoursAgo);
    await run('fs.write', { path: join(fresh, 'x'), content: 'x' }, { path: fresh, write: true });
    expect(await readdir(join(fresh, '.kos-tmp'))).toEqual(['young']);
  });

  it.each([
    ['ENOSPC', 'disk_full', true],
    ['EDQUOT', 'disk_full', true],
    ['EACCES', 'permission_denied', false],
    ['EROFS', 'read_only', false],
    ['EMFILE', 'too_many_open_files', true],
    ['EIO', 'file_failed', true],
  ])('%s becomes %s, and nothing has changed', (code, wanted, retryable) => {
    expect(fileFailure(Object.assign(new Error('system'), { code }), 'x')).toMatchObject({ code: wanted, retryable, effect: 'none' });
  });
});

describe('a folder that turns into a link while it is used', () => {
  /** Swaps `workspace/moving` between a harmless folder and a link to home, as fast as it can, until `stop`. */
  async function swap(stop: { now: boolean }): Promise<number> {
    const moving = join(workspace, 'moving');
    let swaps = 0;
    for (; !stop.now; swaps += 1) {
      await symlink(swaps % 2 === 0 ? home : join(workspace, 'harmless'), join(base, 'next'));
      await rename(join(base, 'next'), moving);
    }
    return swaps;
  }

  it('never shows or changes a file of kOS', async () => {
    await mkdir(join(workspace, 'harmless'));
    await writeFile(join(workspace, 'harmless', 'cli.json'), 'harmless');
    // There before the race begins: otherwise the first write could make a folder of this name.
    await symlink(join(workspace, 'harmless'), join(workspace, 'moving'));
    const stop = { now: false };
    const swapping = swap(stop);
    let shown = 0;
    let refused = 0;
    for (let index = 0; index < 300; index += 1) {
      const outcome = await run('fs.read', { path: 'moving/cli.json' }).catch((error: unknown) => error);
      if (outcome instanceof ToolFailure) refused += 1;
      else {
        shown += 1;
        expect(outcome).toMatchObject({ content: 'harmless' });
      }
      await run(index % 2 === 0 ? 'fs.write' : 'fs.create', { path: `moving/made-${index}`, content: 'x' }).catch((error: unknown) =>
        expect(error).toBeInstanceOf(ToolFailure),
      );
    }
    stop.now = true;
    expect(await swapping).toBeGreaterThan(10);
    expect(shown).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
    expect((await readdir(home)).toSorted()).toEqual(['cli.json', 'keys', 'logs', 'workspace']);
    expect((await stat(join(home, 'cli.json'))).size).toBe('OWNER-KEY'.length);
  });
});
