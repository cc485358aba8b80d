import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunStatus } from '#schemas/run.ts';
import { workOnJobs } from '#services/jobs/work.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;
beforeAll(async () => {
  api = await makeTestApi();
});
afterAll(() => api.close());

const mine = () => api.owner.workspaceId;
const makeRun = (status: RunStatus, team: string): Promise<string> =>
  api.rig.database.inWorkspace(mine(), (transaction) => insertRun(transaction, { workspaceId: mine(), status, labels: { team } }));
let keys = 0;
const post = (path: string, body?: object, key = `job-${(keys += 1)}`): Promise<Answer> =>
  api.call('POST', path, { ...(body === undefined ? {} : { body }), headers: { 'idempotency-key': key } });
const bulk = (body: object, key?: string): Promise<Answer> => post('/v1/runs/bulk', body, key);
const work = () => workOnJobs({ database: api.rig.database, system: api.rig.system });
const statusOf = async (runId: string) => (await api.call('GET', `/v1/runs/${runId}`)).body.status;
const itemsOf = async (jobId: string) => (await api.call('GET', `/v1/jobs/${jobId}/items?limit=200`)).body.items;

describe('a job', () => {
  it('that is tried dry counts, shows a sample and does nothing; started, it acts on exactly those runs', async () => {
    const runs = await Promise.all(Array.from({ length: 3 }, () => makeRun('running', 'dry')));
    const planned = await bulk({ verb: 'terminate', reason: 'runaway', filter: { labels: { team: 'dry' } }, dryRun: true });
    expect(planned.status).toBe(202);
    expect(planned.body).toMatchObject({ status: 'planned', total: 3, counts: { pending: 3, done: 0, refused: 0 } });
    expect(planned.body['sample']).toHaveLength(3);
    await work();
    expect(await statusOf(runs[0] as string)).toBe('running');
    const late = await makeRun('running', 'dry');
    expect((await post(`/v1/jobs/${planned.body.id}/start`)).body.status).toBe('running');
    await work();
    const done = await api.call('GET', `/v1/jobs/${planned.body.id}`);
    expect(done.body).toMatchObject({ status: 'done', counts: { pending: 0, done: 3, refused: 0 } });
    for (const runId of runs) expect(await statusOf(runId)).toBe('terminated');
    expect(await statusOf(late)).toBe('running');
    const audit = await api.rig.system.sql`select actor, data from kos.audit_entries where subject = ${runs[0] as string} and action = 'run.terminate'`;
    expect(audit).toEqual([{ actor: api.owner.principalId, data: { reason: 'runaway' } }]);
    expect((await post(`/v1/jobs/${planned.body.id}/abort`)).body.code).toBe('job_over');
  });

  it('lists what became of each run, refusals with their reason', async () => {
    const [failed, succeeded] = [await makeRun('failed', 'mixed'), await makeRun('succeeded', 'mixed')];
    const { body } = await bulk({ verb: 'retry', ids: [failed, succeeded] });
    await work();
    expect(await itemsOf(body.id)).toMatchObject([
      { runId: failed, status: 'done', code: null },
      { runId: succeeded, status: 'refused', code: 'run_succeeded', message: expect.stringContaining(succeeded) },
    ]);
    expect([await statusOf(failed), await statusOf(succeeded)]).toEqual(['queued', 'succeeded']);
  });

  it('acts on each run once, however many work on it at once, and goes on where one was lost', async () => {
    await Promise.all(Array.from({ length: 120 }, () => makeRun('running', 'many')));
    const { body } = await bulk({ verb: 'pause', filter: { labels: { team: 'many' }, status: ['running'] } });
    expect(await work()).toBe(true);
    await Promise.all([work(), work(), work()]);
    while (await work()) expect((await api.call('GET', `/v1/jobs/${body.id}`)).body.status).toBe('running');
    expect((await api.call('GET', `/v1/jobs/${body.id}`)).body).toMatchObject({ status: 'done', counts: { done: 120, refused: 0, pending: 0 } });
    const events = await api.rig.system
      .sql`select run_id from kos.events e join kos.runs r on r.id = e.run_id where e.type = 'run.paused' and r.labels->>'team' = 'many'`;
    expect(events).toHaveLength(120);
  });

  it('cancels without undoing where that is asked for, and of nothing else', async () => {
    const [leave, undo] = [await makeRun('running', 'undo'), await makeRun('running', 'undo')];
    expect((await bulk({ verb: 'cancel', undo: false, ids: [leave] })).body).toMatchObject({ action: { verb: 'cancel', undo: false } });
    await bulk({ verb: 'cancel', ids: [undo] });
    await work();
    const rows = await api.rig.system.sql`select undo_on_cancel as undo from kos.runs where id in ${api.rig.system.sql([leave, undo])} order by id = ${undo}`;
    expect(rows).toEqual([{ undo: false }, { undo: true }]);
    expect((await bulk({ verb: 'pause', undo: false, ids: [undo] })).status).toBe(400);
  });

  it('that is aborted leaves the rest as it is', async () => {
    const runId = await makeRun('running', 'aborted');
    const { body } = await bulk({ verb: 'cancel', ids: [runId], dryRun: true });
    expect((await post(`/v1/jobs/${body.id}/abort`)).body.status).toBe('aborted');
    expect((await post(`/v1/jobs/${body.id}/start`)).body.code).toBe('job_over');
    await work();
    expect((await api.call('GET', `/v1/runs/${runId}`)).body['cancelRequestedAt']).toBeNull();
  });

  it('is one for equal requests, and refused where it names nothing, too little or too much', async () => {
    const runId = await makeRun('running', 'once');
    const [one, other] = [await bulk({ verb: 'pause', ids: [runId] }, 'same'), await bulk({ verb: 'pause', ids: [runId] }, 'same')];
    expect([other.body.id, other.headers.get('idempotency-replayed')]).toEqual([one.body.id, 'true']);
    expect((await bulk({ verb: 'pause' })).status).toBe(400);
    expect((await bulk({ verb: 'pause', filter: {} })).status).toBe(400);
    expect((await bulk({ verb: 'priority', ids: [runId] })).status).toBe(400);
    expect((await bulk({ verb: 'pause', ids: ['run_01930000-0000-7000-8000-00000000aaaa'] })).body.code).toBe('run_not_found');
  });

  it('needs the permission of its action, too', async () => {
    const key = await api.makeKey({ roles: ['owner'], scopes: ['runs:bulk', 'runs:read', 'runs:pause'] });
    const runId = await makeRun('running', 'scoped');
    const ask = (verb: string) =>
      api.call('POST', '/v1/runs/bulk', { apiKey: key.apiKey, body: { verb, ids: [runId] }, headers: { 'idempotency-key': `scoped-${verb}` } });
    expect((await ask('pause')).status).toBe(202);
    expect((await ask('terminate')).body).toMatchObject({ code: 'permission_missing', permission: 'runs:terminate' });
  });
});
