import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimFile } from './claim.ts';
import { identifyProcess, type ProcessIdentity } from './process-identity.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-claim-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const stale = JSON.stringify({ pid: 4_000_000, started: 'x' });
const read = (value: unknown): ProcessIdentity | null => (typeof value === 'object' && value !== null && 'pid' in value ? (value as ProcessIdentity) : null);

test.each([
  ['no claim', null],
  ['the claim of a process that is gone', stale],
  ['half a claim', '{"pid": 1'],
])('over %s exactly one of many wins, again and again, and nothing is left lying about', async (_, before) => {
  const own = await identifyProcess(process.pid);
  if (own === null) throw new Error('no process');
  for (let round = 0; round < 20; round += 1) {
    const file = join(folder, `${round}.json`);
    if (before !== null) await writeFile(file, before);
    const outcomes = await Promise.all(Array.from({ length: 16 }, () => claimFile(file, own, read)));
    expect(outcomes.filter((holder) => holder === null)).toHaveLength(1);
    await rm(file);
  }
  expect(await readdir(folder)).toEqual([]);
});

test('a removal that was killed half-way holds nobody up', async () => {
  const own = await identifyProcess(process.pid);
  if (own === null) throw new Error('no process');
  const file = join(folder, 'claim.json');
  await writeFile(file, stale);
  await writeFile(`${file}.removal`, stale);
  expect(await claimFile(file, own, read)).toBeNull();
});
