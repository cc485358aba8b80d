import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '#config';
import type { Json, JsonObject } from '#schemas/json.ts';
import { makeArtifacts } from '#tests/rig/engine-worker.ts';
import { type Play, play, saveAll } from '#tests/documents/play.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

const folder = join(projectRoot, 'examples/from-other-engines');
const files = readdirSync(folder).filter((name) => name.endsWith('.plan.yaml'));
const sourceOf = (file: string): string => readFileSync(join(folder, file), 'utf8');

const visits: Record<string, number> = {};
const shop: Record<string, Json> = {
  '/shop/products.json': [
    { id: 1, name: 'chair' },
    { id: 2, name: 'table' },
  ],
  '/shop/transactions.json': [{ product: 2 }, { product: 1 }, { product: 2 }],
};
/** What was asked of the shop, but for what is only looked at. */
const orders: string[] = [];
const made: Record<string, Json> = {
  '/shop/reservations': { id: 'r-1' },
  '/shop/charges': { id: 'c-1' },
  '/shop/refunds': {},
  '/shop/shipments': { id: 's-1' },
};

async function takeOrder(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  orders.push(`${request.method} ${request.url} ${body}`);
  const found = body.includes('far away') && request.url === '/shop/shipments' ? undefined : (made[request.url ?? ''] ?? {});
  response.writeHead(found === undefined ? 422 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(found ?? { reason: 'nobody goes there' }));
}

/** Down for four visits, and a shop. */
const web = createServer((request, response) => {
  if (request.method !== 'GET') {
    void takeOrder(request, response);
    return;
  }
  const path = request.url ?? '';
  visits[path] = (visits[path] ?? 0) + 1;
  const found = shop[path];
  if (path === '/flaky') response.writeHead((visits[path] ?? 0) <= 4 ? 503 : 200).end();
  else if (found === undefined) response.writeHead(404).end();
  else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
});
const address = (): string => `http://127.0.0.1:${(web.address() as AddressInfo).port}`;

let engine: TestEngine;
beforeAll(async () => {
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  engine = await makeTestEngine({ egress: [address().slice('http://'.length)] });
  await saveAll(engine, files.map(sourceOf));
});
afterAll(async () => {
  await engine.close();
  web.close();
});

const playOf = (run: string, more: Partial<Play> = {}): Play => ({ run, input: {}, signals: [], decide: {}, ...more });
const outputOf = async (run: string, input: JsonObject = {}): Promise<Json> => {
  const ended = await play(engine, playOf(run, { input }));
  expect(ended).toMatchObject({ status: 'succeeded', error: null });
  return ended.output;
};
const statuses = async (runId: string): Promise<Record<string, string>> => Object.fromEntries(await engine.statusesOf(runId));

async function artifactOf(runId: string): Promise<string> {
  const [row] = await engine.rig.system.sql<{ sha256: string }[]>`select sha256 from kos.artifacts where run_id = ${runId}`;
  const { stream } = await makeArtifacts({ home: engine.home, artifacts: null }).open({ workspaceId: engine.workspaceId, sha256: row?.sha256 ?? '' });
  return Buffer.concat(await stream.toArray()).toString();
}

describe('public examples of other engines', () => {
  it('are named by the plans that were rewritten from them, and stand in the table', async () => {
    const table = await readFile(join(projectRoot, 'examples/README.md'), 'utf8');
    expect(files.length).toBeGreaterThanOrEqual(15);
    for (const file of files) {
      expect(sourceOf(file)).toMatch(/^# Rewritten from (GitHub Actions|Conductor|Kestra): .+\n# https:\/\//);
      expect(table).toContain(`(from-other-engines/${file})`);
    }
  });

  it('matrix', async () => {
    const all = ['10', '12', '14'].flatMap((version) => ['ubuntu-latest', 'windows-latest'].map((system) => `build-${system}-${version}.txt`));
    expect(await outputOf('matrix')).toEqual(all);
    const exclude = [{ version: 12, system: 'windows-latest' }];
    expect(await outputOf('matrix', { exclude })).toEqual(all.filter((name) => name !== 'build-windows-latest-12.txt'));
  });

  it('job-outputs', async () => {
    expect(await outputOf('job-outputs')).toBe('hello world');
  });

  it('one-at-a-time', async () => {
    const first = await engine.start('one-at-a-time', { settleMs: 600_000 });
    await engine.untilStep(first, 'settle', 'waiting');
    const other = await outputOf('one-at-a-time', { ref: 'feature' });
    const second = await outputOf('one-at-a-time');
    expect([other, second]).toEqual(['deployed feature', 'deployed main']);
    expect(await engine.ended(first)).toMatchObject({ status: 'cancelled' });
  });

  it('fork-join', async () => {
    const run = await play(engine, playOf('fork-join'));
    expect(run).toMatchObject({ status: 'succeeded', output: { mail: 25, sms: 14, http: 30 } });
    const sent = (name: string): Promise<string> => readFile(join(engine.home, 'workspace/notify', run.id, name), 'utf8');
    expect([await sent('mail.txt'), await sent('sms.txt'), await sent('http.json')]).toEqual([
      'News: The build is green.',
      'The build i…',
      '{"text":"The build is green."}',
    ]);
  });

  it('dynamic-fork', async () => {
    expect(await outputOf('dynamic-fork')).toEqual(['A pictur…', 'A picture of the sea']);
    expect(await outputOf('dynamic-fork', { texts: [] })).toEqual([]);
  });

  it('sub-workflow: convert-both and convert', async () => {
    expect(await outputOf('convert-both')).toEqual({ csv: 'rows.csv', json: 'rows.json' });
    const run = await play(
      engine,
      playOf('convert', {
        input: {
          rows: [
            ['a', 'b'],
            ['1', '2'],
          ],
        },
      }),
    );
    expect(await artifactOf(run.id)).toBe('a,b\n1,2');
  });

  it('switch', async () => {
    const by = async (service: string): Promise<Json> => ((await outputOf('switch', { service })) as JsonObject).by ?? null;
    expect([await by('fedex'), await by('ups'), await by('pigeon')]).toEqual(['FedEx', 'UPS', 'the post']);
  });

  it('do-while', async () => {
    expect(await outputOf('do-while')).toEqual({ page: 3, seen: 250 });
    expect(await outputOf('do-while', { stargazers: 0 })).toEqual({ page: 1, seen: 0 });
  });

  it('wait', async () => {
    const { until, after } = (await outputOf('wait')) as { until: string; after: string };
    expect(after).toBe(`waited until ${until}`);
    expect(Date.parse(until)).toBeLessThanOrEqual(Date.now() + 1_000);
  });

  it('scheduled-delay', async () => {
    expect(await outputOf('scheduled-delay')).toEqual({ state: 'open', since: '2024-04-30T11:20:00.000Z' });
    const openAt = new Date(Date.now() + 1_500).toISOString();
    expect(await outputOf('scheduled-delay', { openAt })).toEqual({ state: 'open', since: openAt });
  });

  it('human-task', async () => {
    const run = await play(engine, playOf('human-task', { signals: [{ name: 'inspection', payload: { passed: false, by: 'Ada' } }] }));
    expect(run).toMatchObject({ status: 'succeeded', output: { result: 'not passed', found: { passed: false, by: 'Ada' } } });
  });

  it('human approval: vacation', async () => {
    const granted = await play(engine, playOf('vacation'));
    expect([granted.output, await artifactOf(granted.id)]).toEqual([{ approved: true, answer: 'answer.txt' }, 'Ada: have a good time.']);
    const denied = await play(engine, playOf('vacation', { decide: { ask: 'deny' } }));
    expect([denied.output, await artifactOf(denied.id)]).toEqual([{ approved: false, answer: 'answer.txt' }, 'Ada: not this time.']);
  });

  it('retry', async () => {
    const run = await play(engine, playOf('retry', { input: { url: `${address()}/flaky` } }));
    expect(run).toMatchObject({ status: 'succeeded', output: 200 });
    expect(visits['/flaky']).toBe(5);
    expect((await engine.steps(run.id)).map(({ path, status, attempt }) => `${path} ${status} ${attempt}`)).toContain('ask succeeded 5');
    expect((await statuses(run.id)).neverHappens).toBe('skipped');
  });

  it('error-handler', async () => {
    const failed = await play(engine, playOf('error-handler'));
    expect(failed).toMatchObject({ status: 'succeeded', output: 'json_invalid' });
    expect(await statuses(failed.id)).toEqual({ work: 'failed', alert: 'succeeded', verdict: 'succeeded' });
    expect(await artifactOf(failed.id)).toBe(`The work of ${failed.id} has failed.`);
    const fine = await play(engine, playOf('error-handler', { input: { text: '{}' } }));
    expect([fine.output, (await statuses(fine.id)).alert]).toEqual(['fine', 'skipped']);
  });

  it('saga', async () => {
    const input = { shop: `${address()}/shop` };
    expect(await outputOf('saga', input)).toEqual({ id: 's-1' });
    orders.length = 0;
    const failed = await play(engine, playOf('saga', { input: { ...input, order: 'far away' } }));
    expect(failed).toMatchObject({ status: 'failed', error: { stepPath: 'ship', message: expect.stringMatching(/What 2 steps had done was undone\.$/) } });
    expect(orders).toEqual([
      'POST /shop/reservations {"order":"far away"}',
      'POST /shop/charges {"order":"far away"}',
      'POST /shop/shipments {"order":"far away"}',
      'POST /shop/refunds {"charge":"c-1"}',
      'DELETE /shop/reservations/r-1 ',
    ]);
  });

  it('task-cache', async () => {
    const input = { shop: `${address()}/shop` };
    expect(await outputOf('task-cache', input)).toEqual(['table', 'chair', 'table']);
    expect(await outputOf('task-cache', input)).toEqual(['table', 'chair', 'table']);
    expect([visits['/shop/products.json'], visits['/shop/transactions.json']]).toEqual([1, 2]);
  });
});
