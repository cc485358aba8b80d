import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { type Database, jsonParameter } from '#services/database/connect.ts';
import { recordEvents } from '#services/records/record.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

const start = (body: unknown, key: string, headers: Record<string, string> = {}): Promise<Answer> =>
  api.call('POST', '/v1/runs', { body, headers: { 'idempotency-key': key, ...headers } });

const inWorkspace: Database['inWorkspace'] = (workspaceId, work) => api.rig.database.inWorkspace(workspaceId, work);
const mine = () => api.owner.workspaceId;
const makeRun = (status: 'queued' | 'running' | 'succeeded' = 'queued', labels = {}) =>
  inWorkspace(mine(), (transaction) => insertRun(transaction, { workspaceId: mine(), status, labels }));
const countRuns = async (): Promise<number> => (await api.rig.system.sql`select 1 from kos.runs`).length;

describe('starting', () => {
  it('answers 202 with where the run is', async () => {
    const answer = await start({ plan: 'test-plan', input: { b: 1, a: 2 }, labels: { team: 'x' } }, 'first');
    expect(answer.status).toBe(202);
    expect(answer.body).toEqual({ id: expect.stringMatching(/^run_/), status: 'queued', url: `https://kos.example/v1/runs/${answer.body.id}` });
    const run = await api.call('GET', answer.headers.get('location') ?? '');
    expect(run.body).toMatchObject({ id: answer.body.id, status: 'queued', labels: { team: 'x' }, startedBy: api.owner.principalId, origin: { kind: 'api' } });
    expect(Object.keys(run.body.input)).toEqual(['b', 'a']);
  });

  it('takes effect once for 200 requests at once', async () => {
    const before = await countRuns();
    const answers = await Promise.all(Array.from({ length: 200 }, () => start({ plan: 'test-plan' }, 'two-hundred')));
    expect(await countRuns()).toBe(before + 1);
    const accepted = answers.filter((answer) => answer.status === 202);
    expect(accepted.length).toBeGreaterThan(0);
    expect(new Set(accepted.map((answer) => answer.body.id)).size).toBe(1);
    expect(accepted.filter((answer) => answer.headers.get('idempotency-replayed') === null)).toHaveLength(1);
    for (const answer of answers.filter(({ status }) => status !== 202)) expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_in_flight']);
  });

  it('of each of many keys takes effect once, whoever comes first', async () => {
    const keys = Array.from({ length: proofSize(60, 1_000) }, (_, index) => `race-${index}`);
    const before = await countRuns();
    const ids = new Map<string, Set<string>>();
    for (let from = 0; from < keys.length; from += 20) {
      const racing = keys.slice(from, from + 20).flatMap((key) => [key, key, key]);
      const answers = await Promise.all(racing.map(async (key) => ({ key, answer: await start({ plan: 'test-plan', input: { key } }, key) })));
      for (const { key, answer } of answers) {
        if (answer.status === 202) ids.set(key, (ids.get(key) ?? new Set()).add(answer.body.id));
        else expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_in_flight']);
      }
    }
    expect(await countRuns()).toBe(before + keys.length);
    expect([...ids.values()].map(({ size }) => size)).toEqual(keys.map(() => 1));
    expect(new Set([...ids.values()].flatMap((made) => [...made])).size).toBe(keys.length);
  });

  it('replays with today’s status, for bare and quoted keys, whatever the order of members', async () => {
    const first = await start({ plan: 'test-plan', input: { a: 1, b: 2 } }, 'replayed');
    await api.rig.system.sql`update kos.runs set status = 'succeeded', finished_at = now() where id = ${first.body.id}`;
    const again = await start({ input: { b: 2, a: 1 }, plan: 'test-plan' }, '"replayed"');
    expect([again.status, again.body.id, again.body.status, again.headers.get('idempotency-replayed')]).toEqual([202, first.body.id, 'succeeded', 'true']);
    const waited = await start({ plan: 'test-plan', input: { a: 1, b: 2 } }, 'replayed', { prefer: 'wait=5' });
    expect([waited.status, waited.body.status, waited.body.output]).toEqual([200, 'succeeded', null]);
  });

  it('refuses another body under a used key, and leaves no key behind a refusal', async () => {
    expect((await start({ plan: 'Not A Plan' }, 'refused-first')).status).toBe(400);
    expect((await start({ plan: 'test-plan' }, 'refused-first')).status).toBe(202);
    const other = await start({ plan: 'test-plan', input: { changed: true } }, 'refused-first');
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  });

  it('keeps keys of different principals and routes apart, and forgets them after a day', async () => {
    const first = await start({ plan: 'test-plan' }, 'shared');
    const colleague = await api.makeKey({ roles: ['operator'] });
    const second = await api.call('POST', '/v1/runs', { apiKey: colleague.apiKey, body: { plan: 'test-plan' }, headers: { 'idempotency-key': 'shared' } });
    expect(second.body.id).not.toBe(first.body.id);
    await api.rig.system.sql`update kos.idempotency_keys set created_at = now() - interval '25 hours' where key = 'shared'`;
    const nextDay = await start({ plan: 'test-plan' }, 'shared');
    expect([nextDay.status, nextDay.headers.get('idempotency-replayed')]).toEqual([202, null]);
    expect(nextDay.body.id).not.toBe(first.body.id);
  });

  it('waits for the end when that is preferred, and no longer than asked', async () => {
    const pending = start({ plan: 'test-plan' }, 'waited', { prefer: 'wait=10' });
    await expect.poll(() => api.call('GET', '/v1/runs?limit=1').then(({ body }) => body.items[0]!.id)).toMatch(/^run_/);
    await sleep(50);
    const [newest] = (await api.call('GET', '/v1/runs?limit=1')).body.items;
    await inWorkspace(mine(), async ({ sql }) => {
      await sql`update kos.runs set status = 'succeeded', output = ${jsonParameter(sql, { answer: 42 })}, finished_at = now() where id = ${newest!.id}`;
      await recordEvents(sql, [{ workspaceId: mine(), runId: newest!.id, type: 'run.succeeded', data: {} }]);
    });
    const finishedAt = performance.now();
    const answer = await pending;
    expect(performance.now() - finishedAt).toBeLessThan(5_000);
    expect([answer.status, answer.body.output, answer.headers.get('preference-applied')]).toEqual([200, { answer: 42 }, 'wait=10']);
    const impatient = await start({ plan: 'test-plan' }, 'impatient', { prefer: 'respond-async, wait=1' });
    expect([impatient.status, impatient.body.status]).toEqual([202, 'queued']);
  });
});

describe('lists', () => {
  it('page through all runs once, newest first, and filter', async () => {
    const label = { batch: newId('run') };
    const made = [];
    for (let index = 0; index < 25; index += 1) made.push(await makeRun(index % 2 === 0 ? 'succeeded' : 'running', label));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Answer = await api.call('GET', `/v1/runs?limit=10&label=batch=${label.batch}${cursor === null ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.body.items.map((run) => run.id));
      cursor = page.body.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(made.toReversed());
    const running = await api.call('GET', `/v1/runs?status=running&plan=test-plan&label=batch:${label.batch}&limit=200`);
    expect(running.body.items).toHaveLength(12);
    expect((await api.call('GET', `/v1/runs?status=running,succeeded&label=batch=${label.batch}&limit=200`)).body.items).toHaveLength(25);
    expect((await api.call('GET', '/v1/runs?plan=other-plan')).body.items).toEqual([]);
  });

  it('end a page early where runs are large, and lose none', async () => {
    const label = { batch: newId('run') };
    const noise = () => randomBytes(300_000).toString('base64');
    const made: string[] = [];
    for (let index = 0; index < 12; index += 1) {
      made.push(await inWorkspace(mine(), (transaction) => insertRun(transaction, { workspaceId: mine(), labels: label, input: { noise: noise() } })));
    }
    const pages: string[][] = [];
    let cursor: string | null = null;
    do {
      const page: Answer = await api.call('GET', `/v1/runs?limit=10&label=batch=${label.batch}${cursor === null ? '' : `&cursor=${cursor}`}`);
      pages.push(page.body.items.map((run) => run.id));
      cursor = page.body.nextCursor;
    } while (cursor !== null);
    expect(pages.flat()).toEqual(made.toReversed());
    expect(pages.map((page) => page.length)).toEqual([3, 3, 3, 3]);
  });

  it('page through 10,000 steps, with large outputs by reference', async () => {
    const runId = await makeRun('running');
    await inWorkspace(mine(), async ({ sql }) => {
      await sql`
        insert into kos.steps (workspace_id, run_id, path, step, item, kind, status, attempt, output)
        select ${mine()}, ${runId}, 'each[' || n || ']', 1, n, 'tool', case when n % 100 = 7 then 'failed' else 'succeeded' end, 1, to_json(n) from generate_series(0, 9999) n`;
      const large = { text: Array.from({ length: 5_000 }, () => Math.random()).join() };
      await sql`insert into kos.steps (workspace_id, run_id, path, step, kind, status, attempt, output) values (${mine()}, ${runId}, 'first', 0, 'tool', 'succeeded', 1, ${jsonParameter(sql, large)})`;
    });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Answer = await api.call('GET', `/v1/runs/${runId}/steps?limit=200${cursor === null ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.body.items.map((step) => step.path));
      cursor = page.body.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(['first', ...Array.from({ length: 10_000 }, (_, n) => `each[${n}]`)]);
    const failed = await api.call('GET', `/v1/runs/${runId}/steps?status=failed&limit=200`);
    expect(failed.body.items).toHaveLength(100);
    const [first, second] = (await api.call('GET', `/v1/runs/${runId}/steps?limit=2`)).body.items;
    expect([first!.output, first!['outputRef'], second!.output, second!['outputRef']]).toEqual([undefined, 'first', 0, undefined]);
    const whole = await api.call('GET', `/v1/runs/${runId}/steps?path=first`);
    expect(whole.body.items[0]!.output).toEqual({ text: expect.stringMatching(/^[0-9.,e-]{50000,}$/) });
    const item = await api.call('GET', `/v1/runs/${runId}/steps?path=${encodeURIComponent('each[42]')}`);
    expect(item.body.items[0]).toMatchObject({ path: 'each[42]', output: 42 });
    expect((await api.call('GET', `/v1/runs/${runId}/steps?path=nowhere`)).body.code).toBe('step_not_found');
  });
});

describe('cancelling', () => {
  it('is recorded once, told to Temporal by the outbox, and refused for a run that has ended', async () => {
    const runId = await makeRun('running');
    const cancel = (key: string, id = runId) =>
      api.call('POST', `/v1/runs/${id}/cancel`, { body: { reason: 'no longer needed' }, headers: { 'idempotency-key': key } });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => cancel(`cancel-${index % 4}`)));
    expect(answers.some(({ status }) => status === 202)).toBe(true);
    expect(answers.every(({ status }) => status === 202 || status === 409)).toBe(true);
    expect((await api.call('GET', `/v1/runs/${runId}`)).body['cancelRequestedAt']).not.toBeNull();
    expect(await api.rig.system.sql`select kind from kos.outbox where run_id = ${runId}`).toEqual([{ kind: 'cancel' }]);
    const audit = await api.rig.system.sql`select actor, data from kos.audit_entries where subject = ${runId} and action = 'run.cancel'`;
    expect(audit).toEqual([{ actor: api.owner.principalId, data: { reason: 'no longer needed' } }]);
    const ended = await makeRun('succeeded');
    const refused = await cancel('cancel-ended', ended);
    expect([refused.status, refused.body.code, refused.body['runStatus']]).toEqual([409, 'run_final', 'succeeded']);
  });
});

describe('deleting', () => {
  const addArtifact = (runId: string, sha256: string, referredToBy: string[]) =>
    inWorkspace(mine(), async ({ sql }) => {
      const id = newId('artifact');
      await sql`insert into kos.artifacts (id, workspace_id, run_id, step_path, name, media_type, size_bytes, sha256) values (${id}, ${mine()}, ${runId}, ${id}, 'a.txt', 'text/plain', 4, ${sha256})`;
      for (const run of [runId, ...referredToBy])
        await sql`insert into kos.artifact_references (workspace_id, artifact_id, run_id) values (${mine()}, ${id}, ${run})`;
      return id;
    });

  it('waits for the end of a run, then takes everything but the record and what others refer to', async () => {
    const running = await makeRun('running');
    expect((await api.call('DELETE', `/v1/runs/${running}`)).body).toMatchObject({ status: 409, code: 'run_open', runStatus: 'running' });
    const [doomed, other] = [await makeRun('succeeded'), await makeRun('succeeded')];
    const { artifacts } = api.dependencies;
    const [own, shared] = await Promise.all([artifacts.putArtifact(mine(), Buffer.from('own!')), artifacts.putArtifact(mine(), Buffer.from('both'))]);
    const ownId = await addArtifact(doomed, own.sha256, []);
    const sharedId = await addArtifact(doomed, shared.sha256, [other]);
    await inWorkspace(mine(), async ({ sql }) => {
      await sql`insert into kos.steps (workspace_id, run_id, path, step, kind, status, output_id) values (${mine()}, ${doomed}, 'a', 0, 'tool', 'succeeded', 'out_1')`;
      for (const id of ['out_1', 'out_2']) {
        await sql`insert into kos.outputs (id, workspace_id, value, size_bytes) values (${id}, ${mine()}, '1', 1)`;
        await sql`insert into kos.output_references (workspace_id, output_id, run_id) values (${mine()}, ${id}, ${doomed})`;
      }
      await sql`insert into kos.output_references (workspace_id, output_id, run_id) values (${mine()}, 'out_2', ${other})`;
    });
    api.dependencies.now = () => new Date(Date.now() + 3_600_000);
    expect((await api.call('DELETE', `/v1/runs/${doomed}`)).status).toBe(204);
    expect((await api.call('GET', `/v1/runs/${doomed}`)).status).toBe(404);
    expect((await api.call('GET', `/v1/artifacts/${ownId}`)).body.code).toBe('artifact_not_found');
    expect((await api.call('GET', `/v1/artifacts/${sharedId}/content`)).text).toBe('both');
    const { sql } = api.rig.system;
    expect(await sql`select id from kos.outputs order by id`).toEqual([{ id: 'out_2' }]);
    for (const table of ['steps', 'events', 'effects', 'waits', 'approvals', 'outbox', 'artifact_references', 'output_references']) {
      expect([table, (await sql`select 1 from kos.${sql(table)} where run_id = ${doomed}`).length]).toEqual([table, 0]);
    }
    expect((await sql`select action from kos.audit_entries where subject = ${doomed}`).map((row) => row['action'])).toContain('run.delete');
    await expect(artifacts.open({ workspaceId: mine(), sha256: own.sha256 })).rejects.toMatchObject({ code: 'artifact_content_missing' });
    expect((await api.call('DELETE', `/v1/runs/${other}`)).status).toBe(204);
    await expect(artifacts.open({ workspaceId: mine(), sha256: shared.sha256 })).rejects.toMatchObject({ code: 'artifact_content_missing' });
  });

  it('pins and unpins', async () => {
    const runId = await makeRun('succeeded');
    expect((await api.call('POST', `/v1/runs/${runId}/pin`)).body['pinned']).toBe(true);
    expect((await api.call('POST', `/v1/runs/${runId}/pin`)).body['pinned']).toBe(true);
    expect((await api.call('POST', `/v1/runs/${runId}/unpin`)).body['pinned']).toBe(false);
    const audit = await api.rig.system.sql`select action from kos.audit_entries where subject = ${runId} order by inserted`;
    expect(audit.map((row) => row['action'])).toEqual(['run.pin', 'run.unpin']);
  });
});

describe('explain', () => {
  it('answers for runs of this workspace', async () => {
    const runId = await makeRun('running');
    expect((await api.call('GET', `/v1/runs/${runId}/explain`)).body).toMatchObject({ runId });
  });
});
