import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type FixtureServer, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { makeHome, runKai } from '#tests/kai/run-kai.ts';
import { runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

afterEach(async () => {
  await server.close();
});

const document = { format: 'kos-run/1', run: { id: runId } };

test('run export is the document on standard output, or a file that no other is overwritten by', async () => {
  server = await startFixtureServer({ 'GET /v1/runs/{id}/export': () => ({ json: document }) });
  const home = await makeHome(server);
  expect(JSON.parse((await runKai(['run', 'export', runId], { home })).stdout)).toEqual(document);
  const file = join(home, 'run.json');
  const saved = await runKai(['run', 'export', runId, '--artifacts', '--whole-outputs', '-o', file], { home });
  expect(saved).toMatchObject({ code: 0, stdout: '', stderr: `Written to ${file}.\n` });
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(document);
  expect(server.received.map(({ query }) => [query.get('artifacts'), query.get('outputs')])).toEqual([
    [null, null],
    ['contents', 'whole'],
  ]);
  expect((await runKai(['run', 'export', runId, '-o', file], { home })).code).toBe(6);
});
