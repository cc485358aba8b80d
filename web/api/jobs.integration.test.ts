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
const work = () => workOnJobs(api.dependencies);
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

describe('a job of what people do to single runs', () => {
  let real: TestApi;
  beforeAll(async () => {
    real = await makeTestApi({ realRuns: true });
    const source = `
plan: bulk
input: { type: object, properties: { n: { type: integer, default: 1 } } }
steps:
  go: { signal: { name: go, schema: { type: object, required: [ok] } } }
  pay: { artifact: { name: n.txt, content: "\${string(input.n)}" } }
`;
    const saved = await real.call('POST', '/v1/plans', { body: { source }, headers: { 'idempotency-key': 'plan' } });
    if (saved.status !== 201) throw new Error(saved.text);
  });
  afterAll(() => real.close());

  const ask = (path: string, body: object): Promise<Answer> => real.call('POST', path, { body, headers: { 'idempotency-key': `real-${(keys += 1)}` } });
  const startRun = async (team: string): Promise<string> => (await ask('/v1/runs', { plan: 'bulk', labels: { team } })).body.id;
  const workReal = () => workOnJobs(real.dependencies);
  const outcomeOf = async (jobId: string) => (await real.call('GET', `/v1/jobs/${jobId}/items?limit=200`)).body.items;

  it('forks and replays, names each run that it started, and starts it once however many work on it', async () => {
    const runs = [await startRun('again'), await startRun('again'), await startRun('again')];
    const planned = await ask('/v1/runs/bulk', { verb: 'replay', input: { n: 5 }, reason: 'once more', filter: { labels: { team: 'again' } }, dryRun: true });
    expect(planned.body).toMatchObject({ total: 3, status: 'planned', action: { verb: 'replay', input: { n: 5 } } });
    await ask(`/v1/jobs/${planned.body.id}/start`, {});
    await Promise.all([workReal(), workReal(), workReal()]);
    while (await workReal());
    const replayed = await real.rig.system.sql<{ id: string; of: string; input: object }[]>`
      select id, origin->>'id' as of, input from kos.runs where origin->>'kind' = 'replay' order by created_at, id`;
    expect(replayed.map(({ of }) => of).toSorted()).toEqual(runs.toSorted());
    expect(replayed.map(({ input }) => input)).toEqual([{ n: 5 }, { n: 5 }, { n: 5 }]);
    const items = await outcomeOf(planned.body.id);
    expect(items.map((item) => String(item['message'])).toSorted()).toEqual(replayed.map(({ id }) => `It started ${id}.`).toSorted());
    const audit = await real.rig.system.sql`select data from kos.audit_entries where subject = ${planned.body.id} and action = 'job.plan'`;
    expect(audit[0]?.['data']).not.toHaveProperty('input');

    const forks = await ask('/v1/runs/bulk', { verb: 'fork', from: 'pay', ids: runs.slice(0, 2) });
    const missing = await ask('/v1/runs/bulk', { verb: 'fork', from: 'nowhere', ids: runs.slice(0, 1) });
    await workReal();
    expect(await outcomeOf(forks.body.id)).toMatchObject([{ status: 'done', message: expect.stringMatching(/^It started run_/) }, { status: 'done' }]);
    expect(await outcomeOf(missing.body.id)).toMatchObject([{ status: 'refused', code: expect.any(String), message: expect.stringContaining('nowhere') }]);
    expect(await real.rig.system.sql`select 1 from kos.runs where origin->>'kind' = 'fork'`).toHaveLength(2);
  });

  it('signals, overrides and skips, and lists what is refused with its reason', async () => {
    const [one, other] = [await startRun('steps'), await startRun('steps')];
    const jobs = [
      await ask('/v1/runs/bulk', { verb: 'signal', name: 'go', payload: { ok: true }, ids: [one, other] }),
      await ask('/v1/runs/bulk', { verb: 'signal', name: 'go', payload: {}, ids: [one] }),
      await ask('/v1/runs/bulk', { verb: 'override', path: 'pay', output: { artifactId: 'art_1' }, reason: 'known', ids: [one] }),
      await ask('/v1/runs/bulk', { verb: 'override', path: 'pay', output: 'no', reason: 'known', ids: [other] }),
      await ask('/v1/runs/bulk', { verb: 'skip', path: 'pay', reason: 'not needed', ids: [one, other] }),
      await ask('/v1/runs/bulk', { verb: 'resolve', path: 'pay', outcome: 'did_not', reason: 'looked', ids: [other] }),
    ];
    expect(jobs.map(({ status }) => status)).toEqual(jobs.map(() => 202));
    while (await workReal());
    const outcomes = await Promise.all(jobs.map(async ({ body }) => (await outcomeOf(body.id)).map((item) => item['code'] ?? item.status)));
    expect(outcomes).toEqual([['done', 'done'], ['signal_payload_invalid'], ['done'], ['output_invalid'], ['step_ended', 'done'], ['step_not_uncertain']]);
    const signals = await real.rig.system.sql`select run_id from kos.signals where name = 'go'`;
    expect(signals.map((row) => String(row['run_id'])).toSorted()).toEqual([one, other].toSorted());
    const steps = await real.rig.system
      .sql`select run_id, status, metadata->'byHand'->>'reason' as reason from kos.steps where path = 'pay' and run_id in (${one}, ${other}) order by run_id = ${other}`;
    expect(steps).toMatchObject([
      { run_id: one, status: 'succeeded', reason: 'known' },
      { run_id: other, status: 'skipped', reason: 'not needed' },
    ]);
  });

  it('resolves uncertain effects', async () => {
    const runId = await startRun('uncertain');
    await real.rig.system.sql`
      insert into kos.steps (workspace_id, run_id, path, step, kind, status, attempt, fence, started_at)
      select workspace_id, id, 'pay', 1, 'artifact', 'uncertain', 1, 2, clock_timestamp() from kos.runs where id = ${runId}`;
    const { body } = await ask('/v1/runs/bulk', {
      verb: 'resolve',
      path: 'pay',
      outcome: 'happened',
      output: { artifactId: 'art_1' },
      reason: 'looked',
      ids: [runId],
    });
    await workReal();
    expect(await outcomeOf(body.id)).toMatchObject([{ status: 'done' }]);
    expect((await real.rig.system.sql`select status from kos.steps where run_id = ${runId}`)[0]).toEqual({ status: 'succeeded' });
  });

  it('says which argument goes with which verb', async () => {
    const ids = [await startRun('wrong')];
    const pointersOf = async (body: object) => {
      const answer = await ask('/v1/runs/bulk', { ids, ...body });
      expect(answer.status).toBe(400);
      return (answer.body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer);
    };
    expect(await pointersOf({ verb: 'fork' })).toEqual(['/from']);
    expect(await pointersOf({ verb: 'pause', path: 'pay' })).toEqual(['/path']);
    expect(await pointersOf({ verb: 'override', path: 'pay' })).toEqual(['/reason', '/output']);
    expect(await pointersOf({ verb: 'resolve', path: 'pay', outcome: 'happened', reason: 'x' })).toEqual(['/output']);
    expect(await pointersOf({ verb: 'signal', payload: 1 })).toEqual(['/name']);
  });
});
