import { spawnSync } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureInstalled, findNode24 } from './setup.mjs';

/** A project whose one package lies beside it: npm installs it without a network. */
const lock = (version: string): string =>
  JSON.stringify({
    name: 'sample',
    lockfileVersion: 3,
    packages: { '': { name: 'sample', dependencies: { left: 'file:left' } }, left: { version }, 'node_modules/left': { resolved: 'left', link: true } },
  });

let root: string;
const said: string[] = [];
const install = (): Promise<void> => ensureInstalled({ root, say: (line) => said.push(line) });
const marker = async (): Promise<unknown> => JSON.parse(await readFile(join(root, 'node_modules', '.kos-installed'), 'utf8'));

beforeEach(async () => {
  said.length = 0;
  root = await mkdtemp(join(tmpdir(), 'kos-setup-'));
  await mkdir(join(root, 'left'));
  await writeFile(join(root, 'package.json'), JSON.stringify({ name: 'sample', dependencies: { left: 'file:left' } }));
  await writeFile(join(root, 'left', 'package.json'), JSON.stringify({ name: 'left', version: '1.0.0' }));
  await writeFile(join(root, 'package-lock.json'), lock('1.0.0'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('ensureInstalled', () => {
  test('installs what is missing, in plain lines, and then does nothing', async () => {
    await install();
    await access(join(root, 'node_modules', 'left', 'package.json'));
    expect(said).toEqual([expect.stringMatching(/^Installing about 2 packages/), expect.stringMatching(/^Installed in \d+ s/)]);
    said.length = 0;
    const since = performance.now();
    await install();
    expect(performance.now() - since).toBeLessThan(5_000);
    expect(said).toEqual([]);
  });

  test('a changed lockfile that npm has already followed needs no second installation', async () => {
    await install();
    const before = await marker();
    await writeFile(join(root, 'package-lock.json'), `${lock('1.0.0')}\n`);
    said.length = 0;
    await install();
    expect(said).toEqual([]);
    expect(await marker()).not.toEqual(before);
  });

  test('a lockfile with another version is installed', async () => {
    await install();
    await writeFile(join(root, 'left', 'package.json'), JSON.stringify({ name: 'left', version: '2.0.0' }));
    await writeFile(join(root, 'package-lock.json'), lock('2.0.0'));
    said.length = 0;
    await install();
    expect(said[0]).toMatch(/^Installing/);
  });

  test('what npm says is shown when it fails', async () => {
    await writeFile(join(root, 'package.json'), JSON.stringify({ name: 'sample', dependencies: { left: 'file:left', right: 'file:right' } }));
    await expect(install()).rejects.toThrow(/could not be installed[^]*right/);
  });
});

test.each(['start.mjs', 'test.mjs'])('%s under a Node that is too old says so before anything else, and installs nothing', (script) => {
  const pretend = 'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"18.19.0"}})';
  const path = fileURLToPath(new URL(script, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', pretend, path], { encoding: 'utf8' });
  const words = 'kOS needs Node 20 or later to start; this is Node 18.19.0. Install a newer one from https://nodejs.org.\n';
  expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: words });
});

test('findNode24 finds a Node 24', () => {
  expect(spawnSync(findNode24(), ['--version'], { encoding: 'utf8' }).stdout).toMatch(/^v24\./);
});
