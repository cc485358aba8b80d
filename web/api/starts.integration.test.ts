import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;
let operator: { apiKey: string; principalId: string };
beforeAll(async () => {
  api = await makeTestApi();
  operator = await api.makeKey({ roles: ['operator'] });
});
afterAll(() => api.close());

describe('holding new runs', () => {
  it('is of one workspace, keeps its first reason, and answers at its end what was held', async () => {
    const hold = (reason: string) => api.call('PUT', '/v1/starts/hold', { apiKey: operator.apiKey, body: { reason } });
    expect((await hold('moving')).body).toMatchObject({ hold: { by: operator.principalId, reason: 'moving' }, waiting: 0, next: [] });
    expect((await hold('again')).body).toMatchObject({ hold: { reason: 'moving' } });
    const other = await api.makeWorkspace();
    const [row] = await api.rig.system.sql<{ held: boolean }[]>`select starts_held_at is not null as held from kos.workspaces where workspace_id = ${other}`;
    expect(row?.held ?? false).toBe(false);
    const release = () => api.call('DELETE', '/v1/starts/hold', { apiKey: operator.apiKey });
    expect((await release()).body).toMatchObject({ hold: { reason: 'moving' } });
    expect((await release()).body).toEqual({
      hold: null,
      waiting: 0,
      next: [],
      admission: { runsAtOnce: null, because: null, atWork: 0, waiting: 0 },
      queueOrder: { fair: true, byPriority: true },
    });
    const entries = await api.rig.system.sql<{ action: string }[]>`select action from kos.audit_entries where action like 'starts.%' order by at, id`;
    expect(entries.map(({ action }) => action)).toEqual(['starts.hold', 'starts.release']);
  });

  it('needs a reason and the right to', async () => {
    expect((await api.call('PUT', '/v1/starts/hold', { apiKey: operator.apiKey, body: { reason: ' ' } })).status).toBe(400);
    const viewer = await api.makeKey({ roles: ['viewer'] });
    expect((await api.call('PUT', '/v1/starts/hold', { apiKey: viewer.apiKey, body: { reason: 'x' } })).body).toMatchObject({
      status: 403,
      code: 'permission_missing',
    });
    expect((await api.call('GET', '/v1/starts', { apiKey: viewer.apiKey })).status).toBe(200);
  });
});
