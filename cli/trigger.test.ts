import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Handler } from '#tests/kai/fixture-server.ts';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { page } from '#tests/kai/shapes.ts';

const { kai, sent, received, close } = kaiWithServer();
afterEach(close);

const id = 'trg_01a1fbed-3526-70db-9986-2f479f032b1e';
const deliveryId = 'dlv_01a1fbed-3526-70db-9986-2f479f032b1e';
const aTrigger = (more: object = {}): object => ({
  id,
  name: 'orders',
  url: `http://x/hooks/${id}`,
  plan: 'order',
  labels: {},
  priority: null,
  scheme: 'standard',
  publicKeys: [],
  filter: 'body.paid',
  input: { id: '${body.id}' },
  private: { headers: [], body: ['/card'] },
  enabled: true,
  note: null,
  createdBy: 'prn_1',
  grant: ['runs:start'],
  createdAt: '2031-01-01T00:00:00.000Z',
  updatedAt: '2031-01-01T00:00:00.000Z',
  previousSecretUntil: null,
  refused: 3,
  lastRefusal: { at: '2031-01-01T00:00:00.000Z', reason: 'no signature in webhook-signature is right' },
  deduplication: 'for 7 days, by webhook-id',
  ...more,
});
const aDelivery = (more: object = {}): object => ({
  id: deliveryId,
  status: 'accepted',
  reason: null,
  key: 'msg_1',
  duplicateOf: null,
  runId: 'run_01930000-0000-7000-8000-00000000aaaa',
  redeliveredBy: null,
  bytes: 20,
  receivedAt: '2031-01-01T00:00:00.000Z',
  ...more,
});
const known: Record<string, Handler> = {
  'GET /v1/triggers': () => ({ json: page(aTrigger()) }),
  'GET /v1/triggers/{id}': () => ({ json: aTrigger(), headers: { etag: '"trigger-2"' } }),
};

async function fileWith(text: string): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), 'kai-trigger-')), 'sample.json');
  await writeFile(file, text);
  return file;
}

describe('kai trigger', () => {
  test('create sends what the options say, and its secret alone is data', async () => {
    const words = [
      'trigger',
      'create',
      'orders',
      '--plan',
      'order',
      '--scheme',
      'standard',
      '--filter',
      'body.paid',
      '-i',
      'id=${body.id}',
      '--private-body',
      '/card',
    ];
    const { code, stdout, stderr } = await kai(words, { 'POST /v1/triggers': () => ({ status: 201, json: aTrigger({ secret: 'whsec_once' }) }) });
    expect([code, stdout]).toEqual([0, 'whsec_once\n']);
    expect(stderr).toContain(`http://x/hooks/${id}`);
    expect(sent('POST')).toEqual({
      name: 'orders',
      plan: 'order',
      scheme: 'standard',
      filter: 'body.paid',
      input: { id: '${body.id}' },
      private: { headers: [], body: ['/card'] },
    });
  });

  test("create takes the sender's secret from standard input, and shows none", async () => {
    const words = ['trigger', 'create', 'paid', '--plan', 'order', '--scheme', 'stripe', '--secret-stdin'];
    const { code, stdout } = await kai(
      words,
      { 'POST /v1/triggers': () => ({ status: 201, json: aTrigger({ secret: null }) }) },
      { input: 'whsec_of_stripe_itself\n' },
    );
    expect([code, stdout]).toEqual([0, '']);
    expect(sent('POST')).toMatchObject({ scheme: 'stripe', secret: 'whsec_of_stripe_itself' });
  });

  test('get tells of what was refused; set keeps what is not named, under the ETag', async () => {
    const shown = await kai(['trigger', 'get', 'orders'], known);
    for (const text of ['no signature', '/card', 'for 7 days']) expect(shown.stdout).toContain(text);
    const { code } = await kai(['trigger', 'set', id, '--no-filter'], { ...known, 'PUT /v1/triggers/{id}': () => ({ json: aTrigger() }) });
    expect(code).toBe(0);
    expect(sent('PUT')).toEqual({
      plan: 'order',
      scheme: 'standard',
      publicKeys: [],
      filter: null,
      input: { id: '${body.id}' },
      private: { headers: [], body: ['/card'] },
    });
    expect(received('PUT')?.headers['if-match']).toBe('"trigger-2"');
  });

  test('try and test send a sample, or name a delivery', async () => {
    const file = await fileWith('{"id": 7, "paid": true}');
    const trial: Handler = () => ({ json: { matches: true, input: { id: 7 }, faults: [{ pointer: '/input/id', message: 'must be text' }] } });
    const tried = await kai(['trigger', 'try', '--plan', 'order', '--filter', 'body.paid', '-i', 'id=${body.id}', '--body', file, '--header', 'x-kind=a'], {
      'POST /v1/triggers/test': trial,
    });
    expect(tried.stdout).toContain('/input/id: must be text');
    expect(sent('POST')).toEqual({
      plan: 'order',
      filter: 'body.paid',
      input: { id: '${body.id}' },
      sample: { body: { id: 7, paid: true }, headers: { 'x-kind': 'a' } },
    });
    const ignored: Handler = () => ({ json: { matches: false, input: null, faults: [] } });
    const tested = await kai(['trigger', 'test', id, '--delivery', deliveryId], { 'POST /v1/triggers/{id}/test': ignored });
    expect([tested.stdout, sent('POST')]).toEqual(['Ignored: the filter is false for it.\n', { deliveryId }]);
    expect((await kai(['trigger', 'test', id], known)).code).toBe(2);
  });

  test('deliveries, one of them, and again', async () => {
    const listed = await kai(['trigger', 'deliveries', id], { 'GET /v1/triggers/{id}/deliveries': () => ({ json: page(aDelivery()) }) });
    expect([listed.stderr, listed.stdout]).toEqual(['', expect.stringContaining('run_01930000')]);
    const content = aDelivery({ headers: { 'x-kind': 'a' }, body: { id: 7 } });
    const one = await kai(['trigger', 'delivery', id, deliveryId], { [`GET /v1/triggers/{id}/deliveries/${deliveryId}`]: () => ({ json: content }) });
    expect(one.stdout).toContain('x-kind: a');
    const again = await kai(['trigger', 'redeliver', id, deliveryId], {
      [`POST /v1/triggers/{id}/deliveries/${deliveryId}/redeliver`]: () => ({ status: 202, json: aDelivery() }),
    });
    expect([again.code, again.stdout]).toEqual([0, 'run_01930000-0000-7000-8000-00000000aaaa\n']);
    expect(received('POST')?.headers['idempotency-key']).toBeDefined();
  });

  test('enable, disable, rotate and remove do what they say', async () => {
    await kai(['trigger', 'disable', id, '--note', 'noise'], {
      'POST /v1/triggers/{id}/disable': () => ({ json: aTrigger({ enabled: false, note: 'noise' }) }),
    });
    expect(sent('POST')).toEqual({ note: 'noise' });
    const rotated = await kai(['trigger', 'rotate', id, '--keep', '12h'], {
      'POST /v1/triggers/{id}/rotate': () => ({ json: aTrigger({ secret: 'whsec_new' }) }),
    });
    expect([rotated.stdout, sent('POST')]).toEqual(['whsec_new\n', { keepPreviousMs: 43_200_000 }]);
    expect((await kai(['trigger', 'remove', 'orders'], { ...known, 'DELETE /v1/triggers/{id}': () => ({ status: 204, bytes: '' }) })).code).toBe(0);
  });
});
