import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunStatus, runStatuses } from '#schemas/run.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;
beforeAll(async () => {
  api = await makeTestApi();
  await api.call('POST', '/v1/plans', { body: { source: JSON.stringify({ plan: 'test-plan', steps: { only: { transform: 1 } } }), format: 'json' } });
});
afterAll(() => api.close());

const mine = () => api.owner.workspaceId;
const makeRun = (status: RunStatus): Promise<string> =>
  api.rig.database.inWorkspace(mine(), (transaction) => insertRun(transaction, { workspaceId: mine(), status }));
const makeUncertain = (runId: string) =>
  api.rig.system.sql`insert into kos.steps (workspace_id, run_id, path, step, kind, status) values (${mine()}, ${runId}, 'only', 0, 'transform', 'uncertain')`;
let keys = 0;
const act = (runId: string, verb: string, body: object, key = `key-${(keys += 1)}`): Promise<Answer> =>
  api.call('POST', `/v1/runs/${runId}/${verb}`, { body, headers: { 'idempotency-key': key } });

const open = { queued: 'ok', running: 'ok', waiting: 'ok', paused: 'ok' };
const final = { succeeded: 'run_final', failed: 'run_final', cancelled: 'run_final', terminated: 'run_final' };
const always = { ...open, succeeded: 'ok', failed: 'ok', cancelled: 'ok', terminated: 'ok' };
const notPaused = { queued: 'run_not_paused', running: 'run_not_paused', waiting: 'run_not_paused' };

const unsucceeded = { ...open, succeeded: 'run_succeeded', failed: 'ok', cancelled: 'ok', terminated: 'ok' };

/** What each action comes to in each state: `ok`, or the code of the refusal. */
const table: Record<string, { body: object; expected: Record<RunStatus, string> }> = {
  cancel: { body: { reason: 'x' }, expected: { ...open, ...final } },
  terminate: { body: { reason: 'x' }, expected: { ...open, ...final } },
  pause: { body: { reason: 'x' }, expected: { ...open, ...final } },
  resume: { body: {}, expected: { ...open, ...notPaused, ...final } },
  retry: {
    body: { reason: 'x' },
    expected: {
      queued: 'run_open',
      running: 'run_open',
      waiting: 'run_open',
      paused: 'run_open',
      succeeded: 'run_succeeded',
      failed: 'ok',
      cancelled: 'ok',
      terminated: 'ok',
    },
  },
  'steps/override': { body: { path: 'only', output: 1, reason: 'x' }, expected: unsucceeded },
  'steps/skip': { body: { path: 'only', reason: 'x' }, expected: unsucceeded },
  'steps/resolve': { body: { path: 'only', outcome: 'did_not', reason: 'x' }, expected: unsucceeded },
  replay: { body: {}, expected: always },
  fork: { body: { from: 'only' }, expected: always },
  priority: { body: { priority: 1 }, expected: { ...open, ...final } },
};

describe.each(Object.entries(table))('%s', (verb, { body, expected }) => {
  it.each(runStatuses.map((status) => [status, expected[status]] as const))('of a run that is %s: %s', async (status, outcome) => {
    const runId = await makeRun(status);
    if (verb === 'steps/resolve') await makeUncertain(runId);
    const answer = await act(runId, verb, body, `once-${verb}-${status}`);
    if (outcome === 'ok') {
      expect(answer.status).toBe(202);
      if (!verb.startsWith('steps/')) expect(answer.body.id === runId).toBe(verb !== 'replay' && verb !== 'fork');
      const again = await act(runId, verb, body, `once-${verb}-${status}`);
      expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([202, 'true']);
      return;
    }
    expect([answer.status, answer.body.code]).toEqual([409, outcome]);
    expect(answer.body['detail']).toContain(runId);
    expect(answer.body.fix).toMatch(/kai run/);
    expect((await api.call('GET', `/v1/runs/${runId}`)).body.status).toBe(status);
    expect(await api.rig.system.sql`select 1 from kos.audit_entries where subject = ${runId}`).toEqual([]);
  });

  it('of a run of another workspace: there is none', async () => {
    const other = await api.makeWorkspace();
    const runId = await api.rig.database.inWorkspace(other, (transaction) => insertRun(transaction, { workspaceId: other }));
    expect((await act(runId, verb, body)).body.code).toBe('run_not_found');
  });
});

describe('actions', () => {
  it('come too late for a run that is being cancelled, but for its end', async () => {
    const runId = await makeRun('running');
    await act(runId, 'cancel', {});
    expect((await act(runId, 'pause', {})).body.code).toBe('run_being_cancelled');
    expect((await act(runId, 'terminate', {})).status).toBe(202);
  });

  it('are told to the workflow by the outbox, and stand in events and audit, once', async () => {
    const runId = await makeRun('waiting');
    for (const verb of ['pause', 'pause', 'resume', 'terminate']) expect((await act(runId, verb, { reason: verb })).status).toBe(202);
    const { sql } = api.rig.system;
    expect((await sql`select kind from kos.outbox where run_id = ${runId} order by id`).map((row) => row['kind'])).toEqual(['control', 'control', 'terminate']);
    const events = await sql`select type from kos.events where run_id = ${runId} and type <> 'run.accepted' order by inserted`;
    expect(events.map((row) => row['type'])).toEqual(['run.paused', 'run.resumed', 'run.terminated']);
    const audit = await sql`select action from kos.audit_entries where subject = ${runId} order by inserted`;
    expect(audit.map((row) => row['action'])).toEqual(['run.pause', 'run.unpause', 'run.terminate']);
  });

  it('refuse a priority that is none', async () => {
    const runId = await makeRun('queued');
    expect((await act(runId, 'priority', { priority: 6 })).status).toBe(400);
    expect((await act(runId, 'priority', { priority: 2 })).body['priority']).toBe(2);
  });
});
