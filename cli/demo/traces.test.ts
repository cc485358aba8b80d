import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { countTraces, markTraces } from './traces.ts';

const run = 'run_1';
const trace = (index: number, of = run): string => JSON.stringify({ run: of, index, note: '' });

test('counts what is there: lost, doubled and foreign traces are seen whatever the files are called', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kos-traces-'));
  const files: [string, string][] = [
    ['0.json', trace(0)],
    ['1.json', trace(1)],
    ['1-again.json', trace(1)],
    ['3.json', trace(3, 'run_2')],
    ['4.json', '{"run": "run_1", "ind'],
    ['9.json', trace(9)],
  ];
  for (const [name, content] of files) await writeFile(join(folder, name), content);
  await mkdir(join(folder, 'folder'));
  expect(await countTraces(folder, run, 5)).toEqual({ exact: 1, doubled: 1, missing: 3, foreign: 4 });
});

test('an effect that is done again under the same name leaves one file, and is seen by its mark', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kos-traces-'));
  for (const index of [0, 1, 2]) await writeFile(join(folder, `${index}.json`), trace(index));
  const marks = await markTraces(folder);
  // Written over; replaced by another file; as it was; and one that came later.
  await writeFile(join(folder, '0.json'), trace(0));
  await writeFile(join(folder, 'new'), trace(1));
  await rename(join(folder, 'new'), join(folder, '1.json'));
  await writeFile(join(folder, '3.json'), trace(3));
  expect(await countTraces(folder, run, 4, marks)).toEqual({ exact: 2, doubled: 2, missing: 0, foreign: 0 });
  await rm(join(folder, '2.json'));
  expect(await countTraces(folder, run, 4, marks)).toEqual({ exact: 1, doubled: 2, missing: 1, foreign: 0 });
  expect(await countTraces(folder, run, 4)).toEqual({ exact: 3, doubled: 0, missing: 1, foreign: 0 });
});

test('a folder that is not there holds no trace', async () => {
  expect(await markTraces(join(tmpdir(), 'kos-no-such-folder'))).toEqual(new Map());
  expect(await countTraces(join(tmpdir(), 'kos-no-such-folder'), run, 3)).toEqual({ exact: 0, doubled: 0, missing: 3, foreign: 0 });
});
