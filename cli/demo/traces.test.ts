import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { countTraces } from './traces.ts';

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

test('a folder that is not there holds no trace', async () => {
  expect(await countTraces(join(tmpdir(), 'kos-no-such-folder'), run, 3)).toEqual({ exact: 0, doubled: 0, missing: 3, foreign: 0 });
});
