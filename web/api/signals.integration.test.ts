import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;
let operator: { apiKey: string; principalId: string };

beforeAll(async () => {
  api = await makeTestApi();
  operator = await api.makeKey({ roles: ['operator'] });
  const source =
    'plan: paid\nsteps:\n  paid: { signal: { name: payment, schema: { type: object, required: [amount], properties: { amount: { type: integer } } } } }\n';
  await api.call('POST', '/v1/plans', { apiKey: operator.apiKey, body: { source, format: 'yaml' } });
});

afterAll(() => api.close());

const startRun = (): Promise<string> =>
  api.rig.database.inWorkspace(api.owner.workspaceId, (transaction) =>
    insertRun(transaction, { workspaceId: api.owner.workspaceId, status: 'waiting', planName: 'paid' }),
  );

const send = (runId: string, body: object, options: { apiKey?: string; key?: string } = {}): Promise<Answer> =>
  api.call('POST', `/v1/runs/${runId}/signals`, {
    apiKey: options.apiKey ?? operator.apiKey,
    body,
    headers: { 'idempotency-key': options.key ?? `${runId}-${JSON.stringify(body).length}` },
  });

describe('a signal', () => {
  it('is kept once under one key, and listed', async () => {
    const runId = await startRun();
    const body = { name: 'payment', payload: { amount: 5 } };
    const first = await send(runId, body, { key: 'once' });
    expect([first.status, first.body]).toEqual([
      202,
      expect.objectContaining({ status: 'buffered', name: 'payment', stepPath: null, sentBy: operator.principalId }),
    ]);
    const again = await send(runId, body, { key: 'once' });
    expect([again.status, again.headers.get('idempotency-replayed'), again.body['id']]).toEqual([202, 'true', first.body['id']]);
    const list = await api.call('GET', `/v1/runs/${runId}/signals`, { apiKey: operator.apiKey });
    expect(list.body['items']).toEqual([expect.objectContaining({ id: first.body['id'], payload: { amount: 5 } })]);
  });

  it('whose payload or name does not fit is a problem that names the field', async () => {
    const runId = await startRun();
    const wrong = await send(runId, { name: 'payment', payload: { amount: 'five' } });
    expect([wrong.status, wrong.body['code'], wrong.body['errors']]).toEqual([
      422,
      'signal_payload_invalid',
      [expect.objectContaining({ pointer: '/payload/amount' })],
    ]);
    const unknown = await send(runId, { name: 'paymnt' });
    expect([unknown.status, unknown.body['code'], unknown.body['fix']]).toEqual([422, 'signal_unknown', expect.stringContaining('payment')]);
  });

  it('needs the right to send one', async () => {
    const viewer = await api.makeKey({ roles: ['viewer'] });
    const answer = await send(await startRun(), { name: 'payment', payload: { amount: 1 } }, { apiKey: viewer.apiKey });
    expect(answer.status).toBe(403);
  });
});
