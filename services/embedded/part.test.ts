import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeOwnPortsReader } from './part.ts';
import { writeJsonFile } from './run-records.ts';

const folder = await mkdtemp(join(tmpdir(), 'kos-part-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

test('our own ports are those that stand in the file now: a Temporal that was started again has others', async () => {
  const file = join(folder, 'part-facts.json');
  const readOwnPorts = makeOwnPortsReader(file);
  await writeJsonFile(file, { ownPorts: [3000, 41145] });
  expect(readOwnPorts()).toEqual([3000, 41145]);
  await writeJsonFile(file, { ownPorts: [3000, 37239] });
  expect(readOwnPorts()).toEqual([3000, 37239]);
});

test('without a supervisor there is no such file, and a program says so', () => {
  expect(() => makeOwnPortsReader(undefined)).toThrow(expect.objectContaining({ code: 'not_started_by_supervisor' }));
});
