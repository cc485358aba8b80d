import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;
let operator: { apiKey: string; principalId: string };

beforeAll(async () => {
  api = await makeTestApi();
  operator = await api.makeKey({ roles: ['operator'] });
  const source = 'plan: cached\nsteps:\n  one: { transform: 1, cache: { ttlMs: 60000 } }\n';
  await api.call('POST', '/v1/plans', { apiKey: operator.apiKey, body: { source, format: 'yaml' } });
});

afterAll(() => api.close());

const keep = (key: string, workspaceId = api.owner.workspaceId, plan = 'cached') => api.rig.system.sql`
  insert into kos.cache_entries (workspace_id, key, plan_name, run_id, step_path, expires_at) values (${workspaceId}, ${key}, ${plan}, 'run_1', 'one', now() + interval '1 h')`;
const kept = async (): Promise<string[]> => (await api.rig.system.sql<{ key: string }[]>`select key from kos.cache_entries order by key`).map(({ key }) => key);
const clear = (query: string, apiKey = operator.apiKey): Promise<Answer> => api.call('DELETE', `/v1/cache${query}`, { apiKey });

describe('clearing the cache', () => {
  it('forgets what one plan, or the workspace, has kept, and nothing of another workspace', async () => {
    await keep('a');
    await keep('b', api.owner.workspaceId, 'other');
    await keep('c', await api.makeWorkspace());
    const one = await clear('?plan=cached');
    expect([one.status, one.body]).toEqual([200, { plan: 'cached', cleared: 1 }]);
    expect(await kept()).toEqual(['b', 'c']);
    expect((await clear('')).body).toEqual({ plan: null, cleared: 1 });
    expect(await kept()).toEqual(['c']);
    const [entry] = await api.rig.system.sql<{ actor: string }[]>`select actor from kos.audit_entries where action = 'cache.clear' and subject = 'cached'`;
    expect(entry?.actor).toBe(operator.principalId);
  });

  it('of a plan that is not there is refused, and so is a filter that nobody knows', async () => {
    expect((await clear('?plan=nothing-here')).body).toMatchObject({ status: 404, code: 'plan_not_found' });
    expect((await clear('?plam=cached')).status).toBe(400);
  });

  it('needs the right to', async () => {
    const viewer = await api.makeKey({ roles: ['viewer'] });
    expect((await clear('', viewer.apiKey)).body).toMatchObject({ status: 403, code: 'permission_missing' });
  });
});

describe('a run', () => {
  it('says whether its steps may reuse what was kept', async () => {
    const start = async (body: object): Promise<unknown> => {
      const started = await api.call('POST', '/v1/runs', {
        apiKey: operator.apiKey,
        body: { plan: 'cached', ...body },
        headers: { 'idempotency-key': JSON.stringify(body) },
      });
      return (await api.call('GET', `/v1/runs/${String(started.body['id'])}`, { apiKey: operator.apiKey })).body['cache'];
    };
    expect([await start({}), await start({ cache: false }), await start({ cache: true })]).toEqual([true, false, true]);
  });
});
