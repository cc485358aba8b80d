import { afterEach, describe, expect, test } from 'vitest';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { page } from '#tests/kai/shapes.ts';

const { kai, sent, received, close } = kaiWithServer();
afterEach(close);

const id = 'chn_01a1fbed-3526-70db-9986-2f479f032b1e';
const aChannel = (more: object = {}): object => ({
  id,
  name: 'on-call',
  kind: 'slack',
  topics: ['run.failed'],
  plan: null,
  host: 'hooks.slack.com',
  enabled: true,
  note: null,
  pending: 1,
  failed: 0,
  createdBy: 'prn_1',
  grant: ['runs:read'],
  createdAt: '2031-01-01T00:00:00.000Z',
  updatedAt: '2031-01-01T00:00:00.000Z',
  ...more,
});

describe('kai channel', () => {
  test('create reads the address from standard input, and does not show it', async () => {
    const words = ['channel', 'create', 'on-call', '--kind', 'slack', '-t', 'run.failed', '--url-stdin'];
    const made = await kai(words, { 'POST /v1/channels': () => ({ status: 201, json: aChannel() }) }, { input: 'https://hooks.slack.com/services/T/B/x\n' });
    expect([made.code, made.stdout]).toEqual([0, expect.stringContaining('slack, at hooks.slack.com')]);
    expect(sent('POST')).toMatchObject({ name: 'on-call', kind: 'slack', topics: ['run.failed'], url: 'https://hooks.slack.com/services/T/B/x' });
    expect((await kai(['channel', 'create', 'on-call', '--kind', 'slack'], {})).code).toBe(2);
  });

  test('update keeps the address and what is not named, under the ETag', async () => {
    const { code } = await kai(['channel', 'update', 'on-call', '--plan', 'invoice'], {
      'GET /v1/channels': () => ({ json: page(aChannel()) }),
      'GET /v1/channels/{id}': () => ({ json: aChannel(), headers: { etag: '"channel-2"' } }),
      'PUT /v1/channels/{id}': () => ({ json: aChannel({ plan: 'invoice' }) }),
    });
    expect([code, sent('PUT')]).toEqual([0, { kind: 'slack', topics: ['run.failed'], plan: 'invoice' }]);
    expect(received('PUT')?.headers['if-match']).toBe('"channel-2"');
  });

  test('list, and a trial that was delivered', async () => {
    expect((await kai(['channel', 'list'], { 'GET /v1/channels': () => ({ json: page(aChannel()) }) })).stdout).toContain('hooks.slack.com');
    const tried = { at: '2031-01-01T00:00:00.000Z', status: 200, error: null, fix: null, durationMs: 12, answer: 'ok', delivered: true };
    expect((await kai(['channel', 'test', id], { 'POST /v1/channels/{id}/test': () => ({ json: tried }) })).code).toBe(0);
  });
});
