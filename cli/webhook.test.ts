import { afterEach, describe, expect, test } from 'vitest';
import type { Handler } from '#tests/kai/fixture-server.ts';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { page } from '#tests/kai/shapes.ts';

const { kai, sent, received, close } = kaiWithServer();
afterEach(close);

const id = 'whk_01a1fbed-3526-70db-9986-2f479f032b1e';
const deliveryId = 'odl_01a1fbed-3526-70db-9986-2f479f032b1e';
const aWebhook = (more: object = {}): object => ({
  id,
  name: 'billing',
  url: 'https://billing.example.com/kos',
  events: ['run.failed'],
  plan: 'invoice',
  enabled: true,
  note: null,
  createdBy: 'prn_1',
  grant: ['runs:read'],
  createdAt: '2031-01-01T00:00:00.000Z',
  updatedAt: '2031-01-01T00:00:00.000Z',
  previousSecretUntil: null,
  pending: 0,
  failed: 2,
  ...more,
});
const aDelivery = (more: object = {}): object => ({
  id: deliveryId,
  status: 'failed',
  type: 'run.failed',
  eventId: 'evt_1',
  runId: 'run_01930000-0000-7000-8000-00000000aaaa',
  attempts: 11,
  nextAttemptAt: null,
  error: 'It answered 500.',
  fix: null,
  redeliveredBy: null,
  createdAt: '2031-01-01T00:00:00.000Z',
  finishedAt: '2031-01-02T00:00:00.000Z',
  body: '{"type":"run.failed"}',
  tries: [{ at: '2031-01-01T00:00:00.000Z', status: 500, error: 'It answered 500.', fix: null, durationMs: 12, answer: 'oh\u001b[2Jno' }],
  ...more,
});
const known: Record<string, Handler> = {
  'GET /v1/webhooks': () => ({ json: page(aWebhook()) }),
  'GET /v1/webhooks/{id}': () => ({ json: aWebhook(), headers: { etag: '"webhook-2"' } }),
};

describe('kai webhook', () => {
  test('create sends what the options say, and its secret alone is data', async () => {
    const words = ['webhook', 'create', 'billing', '--url', 'https://billing.example.com/kos', '-e', 'run.failed', '-e', 'step.*', '--plan', 'invoice'];
    const { code, stdout, stderr } = await kai(words, { 'POST /v1/webhooks': () => ({ status: 201, json: aWebhook({ secret: 'whsec_once' }) }) });
    expect([code, stdout]).toEqual([0, 'whsec_once\n']);
    expect(stderr).toContain('https://billing.example.com/kos');
    expect(sent('POST')).toEqual({ name: 'billing', url: 'https://billing.example.com/kos', events: ['run.failed', 'step.*'], plan: 'invoice' });
    expect((await kai(['webhook', 'create', 'billing', '--url', 'https://x.example'], known)).code).toBe(2);
  });

  test('get and list tell of dead letters; update keeps what is not named, under the ETag', async () => {
    expect((await kai(['webhook', 'get', 'billing'], known)).stdout).toContain('kai webhook deliveries billing --failed');
    expect((await kai(['webhook', 'list'], known)).stdout).toContain('billing');
    const { code } = await kai(['webhook', 'update', id, '--no-plan'], { ...known, 'PUT /v1/webhooks/{id}': () => ({ json: aWebhook() }) });
    expect(code).toBe(0);
    expect(sent('PUT')).toEqual({ url: 'https://billing.example.com/kos', events: ['run.failed'], plan: null });
    expect(received('PUT')?.headers['if-match']).toBe('"webhook-2"');
  });

  test('a trial says what came of it, and fails when it was not delivered', async () => {
    const tried = { at: '2031-01-01T00:00:00.000Z', status: 204, error: null, fix: null, durationMs: 12, answer: '', delivered: true };
    const good = await kai(['webhook', 'test', id], { 'POST /v1/webhooks/{id}/test': () => ({ json: tried }) });
    expect([good.code, good.stdout]).toEqual([0, expect.stringContaining('answered 204')]);
    const fix = 'kai settings add egress billing.example.com:443';
    const bad = await kai(['webhook', 'test', id], {
      'POST /v1/webhooks/{id}/test': () => ({ json: { ...tried, status: null, error: 'It is not allowed.', fix, delivered: false } }),
    });
    expect([bad.code, bad.stdout]).toEqual([1, expect.stringContaining(fix)]);
  });

  test('deliveries, one of them, and again; what receivers answer is no command to the terminal', async () => {
    const listed = await kai(['webhook', 'deliveries', id, '--failed'], { 'GET /v1/webhooks/{id}/deliveries': () => ({ json: page(aDelivery()) }) });
    expect([received('GET')?.query.get('status'), listed.stdout]).toEqual(['failed', expect.stringContaining('It answered 500.')]);
    const one = await kai(['webhook', 'delivery', id, deliveryId], { [`GET /v1/webhooks/{id}/deliveries/${deliveryId}`]: () => ({ json: aDelivery() }) });
    expect(one.stdout).toContain('{"type":"run.failed"}');
    expect(one.stdout).not.toContain('\u001b');
    const again = await kai(['webhook', 'redeliver', id, deliveryId], {
      [`POST /v1/webhooks/{id}/deliveries/${deliveryId}/redeliver`]: () => ({ status: 202, json: aDelivery() }),
    });
    expect([again.code, again.stdout]).toEqual([0, `${deliveryId}\n`]);
    expect(received('POST')?.headers['idempotency-key']).toBeDefined();
  });

  test('every dead letter is sent again, request by request', async () => {
    const left = [500, 2];
    const all = await kai(['webhook', 'redeliver', id, '--failed', '--type', 'run.failed', '--since', '2h'], {
      'POST /v1/webhooks/{id}/redeliver': () => ({ status: 202, json: { redelivered: left.shift() ?? 0, more: left.length > 0 } }),
    });
    expect([all.code, all.stdout, all.stderr]).toEqual([0, '', 'Sent again: 502.\n']);
    expect(sent('POST')).toEqual({ since: expect.stringMatching(/Z$/) as string, type: 'run.failed' });
    for (const words of [[id], [id, deliveryId, '--failed']]) expect((await kai(['webhook', 'redeliver', ...words], {})).code).toBe(2);
  });

  test('enable, disable, rotate and delete do what they say', async () => {
    await kai(['webhook', 'disable', id, '--note', 'noise'], {
      'POST /v1/webhooks/{id}/disable': () => ({ json: aWebhook({ enabled: false, note: 'noise' }) }),
    });
    expect(sent('POST')).toEqual({ note: 'noise' });
    const rotated = await kai(['webhook', 'rotate', id, '--keep', '12h'], {
      'POST /v1/webhooks/{id}/rotate': () => ({ json: aWebhook({ secret: 'whsec_new' }) }),
    });
    expect([rotated.stdout, sent('POST')]).toEqual(['whsec_new\n', { keepPreviousMs: 43_200_000 }]);
    expect((await kai(['webhook', 'delete', 'billing'], { ...known, 'DELETE /v1/webhooks/{id}': () => ({ status: 204, bytes: '' }) })).code).toBe(0);
  });
});
