import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environment, projectRoot } from '#config';
import type { RunOffer } from '#schemas/again.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;
let runId: string;
beforeAll(async () => {
  api = await makeTestApi({ realRuns: true });
  const source =
    'plan: greet\ninput: { type: object, required: [name], properties: { name: { type: string } } }\nsteps:\n  only: { transform: "${input.name}" }\n';
  await api.call('POST', '/v1/plans', { body: { source } });
  const started = await api.call('POST', '/v1/runs', {
    body: { plan: 'greet', input: { name: "Ada's ${plan}" }, labels: { team: 'a b' } },
    headers: { 'idempotency-key': 'first' },
  });
  runId = started.body.id;
});
afterAll(() => api.close());

const offers = async (apiKey?: string): Promise<RunOffer[]> => {
  const { body } = await api.call('GET', `/v1/runs/${runId}/again`, apiKey === undefined ? {} : { apiKey });
  return body['offers'] as RunOffer[];
};

/** As somebody would run it who has installed the client: its own name stands for where it lies here. */
async function runSnippet(snippet: string): Promise<{ data?: Record<string, unknown>; error?: unknown }> {
  const folder = await mkdtemp(join(tmpdir(), 'kos-snippet-'));
  const client = join(projectRoot, 'clients', 'typescript', 'src');
  const here = snippet
    .replace("'@kos/client/client'", JSON.stringify(join(client, 'client', 'index.ts')))
    .replace("'@kos/client'", JSON.stringify(join(client, 'index.ts')))
    .replace('https://kos.example', api.url);
  const file = join(folder, 'snippet.mts');
  await writeFile(file, `${here}\nconsole.log(JSON.stringify({ data, error }));\n`);
  const { stdout } = await promisify(execFile)(process.execPath, [file], { env: { ...environment, KOS_API_KEY: api.apiKey } });
  await rm(folder, { recursive: true });
  return JSON.parse(stdout) as { data?: Record<string, unknown>; error?: unknown };
}

describe('what a run offers', () => {
  it('are requests that do what they say', async () => {
    const answers = [];
    for (const { action, request } of await offers()) {
      const headers = request.needsIdempotencyKey ? { 'idempotency-key': `of-${action}` } : {};
      const { status, body } = await api.call(request.method, request.path, { body: request.body, headers });
      answers.push([action, status, body['input'] ?? null]);
    }
    expect(answers).toEqual([
      ['again', 202, null],
      ['start', 202, null],
      ['schedule', 201, { name: "Ada's ${plan}" }],
      // An expression to a trigger, so written as a text that is none.
      ['trigger', 201, { name: "Ada's $${plan}" }],
    ]);
    const { body } = await api.call('GET', '/v1/runs?plan=greet');
    expect(body.items.map(({ input, labels }) => [input, labels])).toEqual(Array.from({ length: 3 }, () => [{ name: "Ada's ${plan}" }, { team: 'a b' }]));
  });

  it('are TypeScript that runs', async () => {
    const [again, start] = await offers();
    for (const offer of [again, start]) {
      const { data, error } = await runSnippet(offer?.typescript ?? '');
      expect([error, data?.['status']]).toEqual([undefined, 'queued']);
    }
  });

  it('say what the one who asks may not do', async () => {
    const { apiKey } = await api.makeKey({ roles: ['viewer'] });
    expect((await offers(apiKey)).map(({ allowed }) => allowed)).toEqual([false, false, false, false]);
    expect((await offers()).every(({ allowed }) => allowed)).toBe(true);
  });
});
