import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DueTime } from '#schemas/schedule.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await makeTestApi();
  const source =
    'plan: tidy\ninput: { type: object, required: [path], properties: { path: { type: string } } }\nsteps:\n  only: { transform: "${input.path}" }\n';
  await api.call('POST', '/v1/plans', { body: { source } });
});
afterAll(() => api.close());

let names = 0;
const definition = (more: object = {}): object => ({
  plan: 'tidy',
  input: { path: '/tmp' },
  spec: { cron: ['30 2 * * *'], timezone: 'Europe/Berlin' },
  ...more,
});
const create = (more: object = {}): Promise<Answer> => {
  names += 1;
  return api.call('POST', '/v1/schedules', { body: { name: `schedule-${names}`, ...definition(more) } });
};
const post = (path: string, body: object = {}, key = `key-${(names += 1)}`): Promise<Answer> =>
  api.call('POST', path, { body, headers: { 'idempotency-key': key } });
const actionsOn = async (id: string): Promise<string[]> =>
  (await api.rig.system.sql<{ action: string }[]>`select action from kos.audit_entries where subject = ${id} order by at, id`).map(({ action }) => action);

describe('a schedule', () => {
  it('is made, read with its meaning and next times, changed under its ETag, removed; all on record', async () => {
    const made = await create({ jitter: undefined });
    expect([made.status, made.headers.get('location')]).toEqual([201, `/v1/schedules/${made.body.id}`]);
    expect(made.body).toMatchObject({
      reading: 'At 02:30, Europe/Berlin time.',
      overlap: 'skip',
      paused: false,
      runsLeft: null,
      grant: ['runs:start'],
      missed: 0,
    });
    expect((made.body['next'] as DueTime[]).filter(({ at }) => at !== null)).toHaveLength(10);
    const path = `/v1/schedules/${made.body.id}`;
    const etag = made.headers.get('etag') ?? '';
    expect((await api.call('PUT', path, { body: definition() })).status).toBe(428);
    const changed = await api.call('PUT', path, { body: definition({ spec: { intervals: [{ everyMs: 3_600_000 }] } }), headers: { 'if-match': etag } });
    expect([changed.status, changed.body['reading']]).toEqual([200, 'Every 1 hour.']);
    expect((await api.call('PUT', path, { body: definition(), headers: { 'if-match': etag } })).body.code).toBe('schedule_changed');
    expect((await api.call('DELETE', path, { headers: { 'if-match': etag } })).status).toBe(412);
    expect((await api.call('DELETE', path, { headers: { 'if-match': changed.headers.get('etag') ?? '' } })).status).toBe(204);
    expect((await api.call('GET', path)).status).toBe(404);
    expect(await actionsOn(made.body.id)).toEqual(['schedule.create', 'schedule.set', 'schedule.remove']);
  });

  it('is paused with a note and resumed', async () => {
    const { body } = await create();
    const paused = await post(`/v1/schedules/${body.id}/pause`, { note: 'holidays' });
    expect(paused.body).toMatchObject({ paused: true, note: 'holidays', next: [] });
    expect((await post(`/v1/schedules/${body.id}/resume`, {})).body).toMatchObject({ paused: false, note: null });
  });

  it('is ordered to run once for equal requests', async () => {
    const { body } = await create();
    const [one, other] = [await post(`/v1/schedules/${body.id}/run`, {}, 'same'), await post(`/v1/schedules/${body.id}/run`, {}, 'same')];
    expect([one.status, other.body.id, other.headers.get('idempotency-replayed')]).toEqual([202, one.body.id, 'true']);
    expect((await api.call('POST', `/v1/schedules/${body.id}/run`, { body: {} })).status).toBe(400);
    const starts = await api.call('GET', `/v1/schedules/${body.id}/starts`);
    expect(starts.body.items).toMatchObject([{ kind: 'manual', status: 'ordered', runId: null }]);
  });

  it('shows what a backfill would start before it does', async () => {
    const { body } = await create();
    const range = { from: '2026-03-27T00:00:00Z', to: '2026-03-31T00:00:00Z' };
    const preview = await post(`/v1/schedules/${body.id}/preview`, range);
    expect(preview.body).toMatchObject({ total: 3, alreadyRun: [] });
    expect((preview.body['times'] as DueTime[]).map(({ local, dst }) => [local, dst === null])).toEqual([
      ['2026-03-27T02:30:00+01:00', true],
      ['2026-03-28T02:30:00+01:00', true],
      ['2026-03-29T02:30:00', false],
      ['2026-03-30T02:30:00+02:00', false],
    ]);
    expect((await api.call('GET', `/v1/schedules/${body.id}/starts`)).body.items).toEqual([]);
    expect((await post(`/v1/schedules/${body.id}/backfill`, range)).body).toMatchObject({ kind: 'backfill', starts: 3 });
    const bad = [
      { ...range, to: '2026-03-01T00:00:00Z' },
      { ...range, to: '2099-01-01T00:00:00Z' },
    ];
    for (const wrong of bad) expect((await post(`/v1/schedules/${body.id}/preview`, wrong)).body.code).toBe('backfill_range');
    expect((await post(`/v1/schedules/${body.id}/backfill`, { from: range.from, to: '2026-03-27T00:01:00Z' })).body.code).toBe('backfill_empty');
  });

  it('that cannot be is refused before anything is written, and says where', async () => {
    const wrong = [
      [{ plan: 'no-such-plan' }, 404, 'plan_not_found'],
      [{ input: {} }, 422, 'input_invalid'],
      [{ spec: { cron: ['61 * * * *'] } }, 422, 'schedule_invalid'],
      [{ spec: { cron: ['* * * * *'], timezone: 'Mars/Phobos' } }, 422, 'schedule_invalid'],
      [{ spec: {} }, 400, 'request_invalid'],
      [{ overlap: 'sometimes' }, 400, 'request_invalid'],
    ] as const;
    const count = async () => (await api.rig.system.sql`select count(*)::int as n from kos.schedules`)[0]?.['n'] as number;
    const before = await count();
    for (const [more, status, code] of wrong) {
      const answer = await create(more);
      expect([more, answer.status, answer.body.code]).toEqual([more, status, code]);
    }
    expect(await count()).toBe(before);
    const name = { name: 'taken' };
    expect((await create(name)).status).toBe(201);
    expect((await create(name)).body.code).toBe('schedule_exists');
    const weak = await api.makeKey({ roles: ['operator'], scopes: ['schedules:write'] });
    const body = { name: 'weak', ...definition() };
    expect((await api.call('POST', '/v1/schedules', { body, apiKey: weak.apiKey })).body).toMatchObject({
      code: 'permission_missing',
      permission: 'runs:start',
    });
  });

  it('is found by its name and its plan, and previewed without being made', async () => {
    await create({ name: 'found' });
    expect((await api.call('GET', '/v1/schedules?name=found')).body.items).toMatchObject([{ name: 'found', plan: 'tidy' }]);
    expect((await api.call('GET', '/v1/schedules?plan=other')).body.items).toEqual([]);
    const preview = await post('/v1/schedules/preview', { spec: { cron: ['0 9 * * mon'] }, count: 2 });
    expect(preview.body).toMatchObject({ reading: 'At 09:00, only on Monday, UTC time.' });
    expect(preview.body['next']).toHaveLength(2);
  });
});

describe('a plan', () => {
  it('that is in use is not removed, and its users are named; else it is, and saving brings it back', async () => {
    const source = (name: string, step: string): string => `plan: ${name}\nsteps:\n  only: ${step}\n`;
    const save = (text: string) => api.call('POST', '/v1/plans', { body: { source: text } });
    await save(source('inner', '{ transform: 1 }'));
    await save(source('outer', '{ plan: inner }'));
    const made = await create({ name: 'user-of-inner', plan: 'inner', input: {} });
    const refused = await api.call('DELETE', '/v1/plans/inner');
    expect(refused.body).toMatchObject({
      status: 409,
      code: 'plan_in_use',
      users: [
        { kind: 'schedule', id: made.body.id },
        { kind: 'plan', id: 'outer@1' },
      ],
    });
    expect((await api.call('DELETE', '/v1/plans/outer')).status).toBe(204);
    await api.call('DELETE', `/v1/schedules/${made.body.id}`, { headers: { 'if-match': made.headers.get('etag') ?? '' } });
    expect((await api.call('DELETE', '/v1/plans/inner')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/plans/inner')).body.code).toBe('plan_not_found');
    expect((await create({ plan: 'inner', input: {} })).body.code).toBe('plan_not_found');
    expect((await save(source('inner', '{ transform: 1 }'))).status).toBe(200);
    expect((await create({ plan: 'inner', input: {} })).status).toBe(201);
  });
});
