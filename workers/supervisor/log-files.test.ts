import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lastWords, openLogs, openPartLog } from './log-files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-logs-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const unexpected = (message: string): void => {
  throw new Error(message);
};
const read = async (name: string): Promise<unknown[]> =>
  (await readFile(join(folder, name), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

test('JSON lines stay as they are, others are wrapped with the level they name', async () => {
  const log = openPartLog(folder, 'worker', unexpected);
  log.line('{"level":30,"msg":"mine"}');
  log.line('{ not json');
  log.line('2026-01-01 UTC [1] FATAL:  out of memory');
  expect(await read('worker.jsonl')).toEqual([
    { level: 30, msg: 'mine' },
    { at: expect.any(String), level: 'info', part: 'worker', message: '{ not json' },
    { at: expect.any(String), level: 'error', part: 'worker', message: '2026-01-01 UTC [1] FATAL:  out of memory' },
  ]);
  expect((await stat(join(folder, 'worker.jsonl'))).mode & 0o777).toBe(0o600);
});

test('five files of the given size are kept, the newest under the plain name', async () => {
  const log = openPartLog(folder, 'api', unexpected, 200);
  for (let number = 0; number < 60; number += 1) log.write('info', `line ${number}`);
  expect((await readdir(folder)).toSorted()).toEqual(['api.1.jsonl', 'api.2.jsonl', 'api.3.jsonl', 'api.4.jsonl', 'api.jsonl']);
  expect((await read('api.jsonl')).at(-1)).toMatchObject({ message: 'line 59' });
  for (const name of await readdir(folder)) expect((await stat(join(folder, name))).size).toBeLessThan(400);
});

test('a log goes on in the file of the start before', async () => {
  openPartLog(folder, 'api', unexpected).write('info', 'first start');
  openPartLog(folder, 'api', unexpected).write('info', 'second start');
  expect(await read('api.jsonl')).toMatchObject([{ message: 'first start' }, { message: 'second start' }]);
});

test('what cannot be written is said once, and never thrown', () => {
  const said: string[] = [];
  const log = openPartLog(join(folder, 'gone'), 'api', (message) => said.push(message));
  log.write('info', 'one');
  log.write('info', 'two');
  expect(said).toEqual([expect.stringContaining('cannot be written')]);
});

test('last words begin at the error, or are the last lines', () => {
  const logs = openLogs(folder, unexpected);
  for (const line of ['starting', 'Error: no such module', '    at load', '    at run', '    at main', 'Node.js v24']) logs.of('api').line(line);
  expect(logs.recent('api')).toBe('Error: no such module\n    at load\n    at run');
  expect(lastWords(['one', 'two'])).toBe('one\ntwo');
  expect(lastWords([])).toBe('it said nothing');
});
