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
  runId = await startRun('first');
});
afterAll(() => api.close());

async function startRun(key: string): Promise<string> {
  const { body } = await api.call('POST', '/v1/runs', {
    body: { plan: 'greet', input: { name: "Ada's ${plan}" }, labels: { team: 'a b' } },
    headers: { 'idempotency-key': key },
  });
  return body.id;
}

const offers = async (apiKey?: string): Promise<RunOffer[]> => {
  const { body } = await api.call('GET', `/v1/runs/${runId}/again`, apiKey === undefined ? {} : { apiKey });
  return body['offers'] as RunOffer[];
};

/** As somebody would run it who has installed the client: its own name stands for where it lies here. */
async function runSnippet(snippet: string, apiKey = api.apiKey): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kos-snippet-'));
  const client = join(projectRoot, 'clients', 'typescript', 'src');
  const here = snippet
    .replace("'@kos/client/client'", JSON.stringify(join(client, 'client', 'index.ts')))
    .replace("'@kos/client'", JSON.stringify(join(client, 'index.ts')))
    .replace('https://kos.example', api.url);
  const file = join(folder, 'snippet.mts');
  await writeFile(file, here);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [file], { env: { ...environment, KOS_API_KEY: apiKey } });
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
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

  it('are TypeScript that runs, tells what came of it, and does not keep a refusal to itself', async () => {
    runId = await startRun('another');
    const told = [];
    for (const { typescript } of await offers()) told.push(await runSnippet(typescript));
    expect(told).toEqual([
      expect.stringContaining("status: 'queued'"),
      expect.stringContaining("status: 'queued'"),
      expect.stringContaining("id: 'sch_"),
      expect.stringContaining("id: 'trg_"),
    ]);
    const { apiKey } = await api.makeKey({ roles: ['viewer'] });
    await expect(runSnippet((await offers())[1]?.typescript ?? '', apiKey)).rejects.toThrow('permission_missing: This needs the permission runs:start');
  });

  it('say what the one who asks may not do', async () => {
    const { apiKey } = await api.makeKey({ roles: ['viewer'] });
    expect((await offers(apiKey)).map(({ allowed }) => allowed)).toEqual([false, false, false, false]);
    expect((await offers()).every(({ allowed }) => allowed)).toBe(true);
  });
});
