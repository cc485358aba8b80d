import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventType } from '#schemas/event.ts';
import { numberBatch } from '#services/events/number-batch.ts';
import { fanOut } from '#services/outgoing/fan-out.ts';
import { recordEvents } from '#services/records/record.ts';
import { type Receiver, startReceiver } from '#tests/rig/receiver.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;
let receiver: Receiver;
beforeAll(async () => {
  api = await makeTestApi();
  receiver = await startReceiver();
});
afterAll(async () => {
  await api.close();
  receiver.close();
});

let count = 0;
const hour = 3_600_000;
const nowMs = Date.now();
const create = (more: object = {}): Promise<Answer> =>
  api.call('POST', '/v1/channels', { body: { name: `channel-${(count += 1)}`, kind: 'url', url: receiver.url(`/channel-${count}`), ...more } });
const made = async (more: object = {}): Promise<string> => {
  const answer = await create(more);
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.body.id;
};
/** Something happens to a run, and everybody who is to hear of it at that instant does. */
async function happen(type: EventType, data: object = {}, { parentRunId, atMs = nowMs }: { parentRunId?: string; atMs?: number } = {}): Promise<string> {
  const { workspaceId } = api.owner;
  const runId = await api.rig.database.inWorkspace(workspaceId, async (transaction) => {
    const id = await insertRun(transaction, { workspaceId });
    if (parentRunId !== undefined) await transaction.sql`update kos.runs set parent_run_id = ${parentRunId} where id = ${id}`;
    await recordEvents(transaction.sql, [{ workspaceId, runId: type === 'schedule.missed' ? null : id, type, data: { ...data } }]);
    return id;
  });
  await hear(atMs);
  return runId;
}
async function hear(atMs: number): Promise<void> {
  for (let waiting = 1; waiting > 0; ) {
    await numberBatch(api.rig.system);
    [{ waiting }] = (await api.rig.system.sql`select count(*)::int as waiting from kos.events where seq is null`) as unknown as [{ waiting: number }];
  }
  while (await fanOut({ system: api.rig.system, publicUrl: 'https://kos.example', now: () => atMs }));
}
const failure = (message = 'it broke'): object => ({ error: { code: 'tool_failed', message, fix: null, stepPath: 'send' } });
interface Told {
  topic: string;
  title: string;
  runId: string;
  link: { url: string };
  command: string;
  facts: { name: string; value: string }[];
}
const told = async (id: string): Promise<Told[]> => {
  const rows = await api.rig.system.sql<{ body: string }[]>`select body from kos.outgoing_deliveries where target_id = ${id} order by created_at, id`;
  return rows.map(({ body }) => JSON.parse(body) as Told);
};
const post = (path: string, body: object = {}): Promise<Answer> => api.call('POST', path, { body });

describe('a channel', () => {
  it('keeps its address as a secret: it is sealed, and neither shown nor on record', async () => {
    const answer = await create({ kind: 'slack', url: 'https://hooks.slack.com/services/T0/B0/very-secret' });
    expect(answer.body).toMatchObject({
      host: 'hooks.slack.com',
      kind: 'slack',
      topics: ['run.failed', 'approval.requested', 'step.uncertain', 'schedule.missed'],
    });
    const rows = await api.rig.system.sql`select encode(url, 'escape') as url, definition, host from kos.channels where id = ${answer.body.id}`;
    const audit = await api.rig.system.sql`select data from kos.audit_entries where subject = ${answer.body.id}`;
    const tested = await post(`/v1/channels/${answer.body.id}/test`);
    expect(tested.body).toMatchObject({ delivered: false, fix: 'kai settings add egress hooks.slack.com:443' });
    for (const shown of [answer.text, tested.text, JSON.stringify([rows, audit])]) expect(shown).not.toContain('very-secret');
  });

  it('is told of the first failure after a success, then once an hour, and at once again after the next success', async () => {
    const id = await made({ topics: ['run.failed'] });
    const first = await happen('run.failed', failure());
    expect(await told(id)).toMatchObject([
      { topic: 'run.failed', runId: first, link: { url: `https://kos.example/v1/runs/${first}` }, command: `kai run why ${first}` },
    ]);
    const second = await happen('run.failed', failure());
    const third = await happen('run.failed', failure());
    await hear(nowMs + hour - 1_000);
    expect(await told(id)).toHaveLength(1);
    await Promise.all([hear(nowMs + hour), hear(nowMs + hour), hear(nowMs + hour)]);
    const [, digest] = await told(id);
    expect(digest?.title).toMatch(/^2 more runs of .* failed$/);
    expect(digest?.facts[0]?.value).toBe(`${third} tool_failed\n${second} tool_failed`);
    await happen('run.succeeded', {}, { atMs: nowMs + hour });
    await happen('run.failed', failure(), { atMs: nowMs + hour });
    expect(await told(id)).toHaveLength(3);
    await hear(nowMs + 3 * hour);
    expect(await told(id)).toHaveLength(3);
  });

  it('is told of what waits for people, each time, and of no run that another run started', async () => {
    const id = await made();
    const parentRunId = await happen('approval.requested', { approvalId: 'apr_1', stepPath: 'ask', from: 'role:approver', expiresAt: null });
    await happen('step.uncertain', { stepPath: 'pay', error: { code: 'effect_uncertain', message: 'the worker was lost' } });
    await happen('schedule.missed', { scheduleId: 'sch_1', name: 'nightly', count: 1, nominalAt: ['2031-01-01T00:00:00.000Z'] });
    await happen('run.failed', failure(), { parentRunId });
    const messages = await told(id);
    expect(messages.map(({ topic }) => topic)).toEqual(['approval.requested', 'step.uncertain', 'schedule.missed']);
    expect(messages.map(({ link }) => link.url)).toEqual([
      'https://kos.example/v1/approvals/apr_1',
      expect.stringMatching(/^https:\/\/kos\.example\/v1\/runs\/run_/),
      'https://kos.example/v1/schedules/sch_1',
    ]);
  });

  it('tells of one plan alone, and nothing while it is disabled', async () => {
    const other = await made({ plan: 'another-plan' });
    const id = await made();
    await post(`/v1/channels/${id}/disable`, { note: 'quiet' });
    await happen('run.failed', failure());
    expect([await told(other), await told(id)]).toEqual([[], []]);
    await post(`/v1/channels/${id}/enable`);
    await hear(nowMs);
    expect(await told(id)).toEqual([]);
  });

  it('is tested in the form of its service, takes another address under its ETag, and goes with what it kept', async () => {
    const settings = await api.call('GET', '/v1/settings');
    await api.call('PATCH', '/v1/settings', { body: { egress: [receiver.host] }, headers: { 'if-match': settings.headers.get('etag') ?? '' } });
    const id = await made({ kind: 'teams', topics: ['run.failed'] });
    await happen('run.failed', failure());
    const read = await api.call('GET', `/v1/channels/${id}`);
    const set = await api.call('PUT', `/v1/channels/${id}`, {
      body: { kind: 'slack', topics: ['run.failed'], url: receiver.url('/moved') },
      headers: { 'if-match': read.headers.get('etag') ?? '' },
    });
    expect(set.body).toMatchObject({ kind: 'slack', host: receiver.host, pending: 1 });
    receiver.answer('/moved', (response) => response.writeHead(404).end('no_service'));
    expect((await post(`/v1/channels/${id}/test`)).body).toMatchObject({ delivered: false, status: 404, answer: 'no_service' });
    expect((await post(`/v1/channels/${id}/test`)).body).toMatchObject({ delivered: true });
    expect(JSON.parse(receiver.to('/moved')[0]?.body ?? '')).toMatchObject({ blocks: [{ type: 'header' }, { type: 'section' }, { type: 'actions' }] });
    expect((await api.call('DELETE', `/v1/channels/${id}`, { headers: { 'if-match': set.headers.get('etag') ?? '' } })).status).toBe(204);
    expect(await api.rig.system.sql`select from kos.channel_failures where channel_id = ${id}`).toHaveLength(0);
  });

  it('keeps its address off the record when its receiver repeats it, whole or cut', async () => {
    const settings = await api.call('GET', '/v1/settings');
    await api.call('PATCH', '/v1/settings', { body: { egress: [receiver.host] }, headers: { 'if-match': settings.headers.get('etag') ?? '' } });
    const path = '/services/T0/B0/very-secret-part';
    const id = await made({ url: receiver.url(path) });
    for (const before of ['', 'x'.repeat(470)]) {
      receiver.answer(path, (response) => response.writeHead(404).end(`${before}Cannot POST ${path}`));
      const { body } = await post(`/v1/channels/${id}/test`);
      expect(body).toMatchObject({ delivered: false, status: 404 });
      expect(body.answer).toContain('Cannot POST');
      expect(body.answer).not.toContain('very-');
    }
  });
});
