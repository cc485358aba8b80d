import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runFirstExample } from './first-run.ts';

let root: string;
let printed: string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kos-first-'));
  printed = [];
  await mkdir(join(root, 'cli'));
  await mkdir(join(root, 'home'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const placeLauncher = (script: string): Promise<void> => writeFile(join(root, 'cli', 'kai.mjs'), script);
const showExample = (signal = new AbortController().signal, environment = {}): Promise<void> =>
  runFirstExample({
    home: join(root, 'home'),
    projectRoot: root,
    environment,
    url: 'http://127.0.0.1:3000',
    onLine: () => undefined,
    print: (message) => printed.push(message),
    signal,
  });

const artifactId = 'art_01a1fbed-3526-70db-9986-2f479f032b1e';

test('it runs once, and says where its report is', async () => {
  await placeLauncher(`console.log(JSON.stringify({ id: 'run_1', output: { report: { artifactId: '${artifactId}' } } }, null, 2))`);
  await showExample();
  expect(printed).toEqual([expect.stringContaining(`npx kai artifact get ${artifactId}`)]);
  await showExample();
  expect(printed).toHaveLength(1);
});

test('its failure is told, and it is tried again at the next start', async () => {
  await placeLauncher('process.exitCode = 3');
  await showExample();
  expect(printed).toEqual([expect.stringContaining('tried again at the next start')]);
  expect(await readdir(join(root, 'home'))).toEqual([]);
});

test('a stop does not wait for it', async () => {
  await placeLauncher('setInterval(() => {}, 1000)');
  const end = new AbortController();
  const shown = showExample(end.signal);
  setTimeout(() => end.abort(), 200);
  await shown;
  expect(printed).toEqual([]);
  expect(await readdir(join(root, 'home'))).toEqual([]);
});

test('a stop that came before it does not wait for it either', async () => {
  await placeLauncher('setInterval(() => {}, 1000)');
  await showExample(AbortSignal.abort());
  expect(printed).toEqual([]);
}, 5_000);

test('it runs here, whichever server the environment names for kai', async () => {
  await placeLauncher(`console.log(JSON.stringify({ id: String(process.env.KOS_URL) + process.env.KOS_API_KEY + process.env.KOS_HOME, output: null }))`);
  await showExample(undefined, { KOS_URL: 'https://kos.example.com', KOS_API_KEY: 'theirs' });
  expect(printed).toEqual([expect.stringContaining(`undefinedundefined${join(root, 'home')}`)]);
});
