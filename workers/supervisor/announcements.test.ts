import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { environment } from '#config';
import { makeKaiCommand, nextSteps, readyLine } from './announcements.ts';

const address = { host: '127.0.0.1', port: 3000, localUrl: 'http://127.0.0.1:3000', publicUrl: 'http://127.0.0.1:3000' };
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-kai-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('the ready line is what scripts wait for', () => {
  expect(readyLine(address)).toBe('kOS is ready at http://127.0.0.1:3000');
});

test('three commands to try follow, and how to call kai from anywhere', () => {
  const lines = nextSteps({ address, insecure: false, kaiFolder: '/home/me/.kos/bin' });
  expect(lines.filter((line) => line.startsWith('  npx kai '))).toHaveLength(3);
  expect(lines.join('\n')).toContain('/home/me/.kos/bin');
  expect(lines.join('\n')).not.toContain('INSECURE');
});

test('an insecure installation says so, and one behind a proxy names its address', () => {
  const lines = nextSteps({ address: { ...address, publicUrl: 'https://kos.example.com' }, insecure: true, kaiFolder: '/x' });
  expect(lines[0]).toContain('https://kos.example.com');
  expect(lines[1]).toContain('INSECURE');
});

test('the kai of a home calls the launcher for that home from any folder, whatever their names', async () => {
  const root = join(folder, "check'out $HOME");
  const home = join(folder, 'a home "quoted"');
  await mkdir(join(root, 'cli'), { recursive: true });
  await mkdir(home);
  await writeFile(join(root, 'cli', 'kai.mjs'), 'console.log(JSON.stringify([process.env.KOS_HOME, ...process.argv.slice(2)]));');
  const kai = join(await makeKaiCommand(home, root), 'kai');
  const call = (env: Record<string, string>): unknown =>
    JSON.parse(execFileSync(kai, ['run', 'list me'], { cwd: '/', encoding: 'utf8', env: { PATH: environment['PATH'], ...env } }));
  expect(call({})).toEqual([home, 'run', 'list me']);
  expect(call({ KOS_HOME: '/elsewhere' })).toEqual(['/elsewhere', 'run', 'list me']);
});
