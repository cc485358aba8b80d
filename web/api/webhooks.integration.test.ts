import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numberBatch } from '#services/events/number-batch.ts';
import { newId } from '#services/ids.ts';
import { fanOut } from '#services/outgoing/fan-out.ts';
import { pruneOutgoing } from '#services/outgoing/prune.ts';
import { isPassingFailure } from '#services/database/failures.ts';
import { recordEvents } from '#services/records/record.ts';
import { type ReceivedPost, type Receiver, startReceiver } from '#tests/rig/receiver.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

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
const next = (): number => (count += 1);
interface Made {
  id: string;
  secret: string;
  etag: string;
}
const create = (more: object = {}): Promise<Answer> =>
  api.call('POST', '/v1/webhooks', { body: { name: `hook-${next()}`, url: receiver.url(`/hook-${count}`), events: ['run.failed'], ...more } });
const made = async (more: object = {}): Promise<Made> => {
  const answer = await create(more);
  if (answer.status !== 201) throw new Error(answer.text);
  return { id: answer.body.id, secret: String(answer.body['secret']), etag: answer.headers.get('etag') ?? '' };
};
const post = (path: string, body?: object): Promise<Answer> =>
  api.call('POST', path, { ...(body === undefined ? {} : { body }), headers: { 'idempotency-key': `key-${next()}` } });
const allow = async (egress: string[]): Promise<void> => {
  const { headers } = await api.call('GET', '/v1/settings');
  const { status, text } = await api.call('PATCH', '/v1/settings', { body: { egress }, headers: { 'if-match': headers.get('etag') ?? '' } });
  if (status !== 200) throw new Error(text);
};
/** Something happens, and has its number. */
const happen = async (times = 1): Promise<void> => {
  const workspaceId = api.owner.workspaceId;
  await api.rig.database.inWorkspace(workspaceId, ({ sql }) =>
    recordEvents(
      sql,
      Array.from({ length: times }, () => ({ workspaceId, runId: newId('run'), type: 'run.failed' as const, data: { error: { code: 'tool_failed' } } })),
    ),
  );
  await numbered();
};
const numbered = async (): Promise<void> => {
  for (let waiting = 1; waiting > 0; ) {
    await numberBatch(api.rig.system);
    [{ waiting }] = (await api.rig.system.sql`select count(*)::int as waiting from kos.events where seq is null`) as unknown as [{ waiting: number }];
  }
};
const fan = async (): Promise<void> => {
  while (await fanOut({ system: api.rig.system, publicUrl: 'https://kos.example', now: Date.now }));
};
const deliveries = async (id: string, query = '') => (await api.call('GET', `/v1/webhooks/${id}/deliveries?limit=200${query}`)).body.items;

describe('a webhook', () => {
  it('is made with a secret that is shown once and stored nowhere in clear', async () => {
    const answer = await create({ name: 'billing', events: ['run.*'], plan: 'invoice' });
    expect(answer.body).toMatchObject({ name: 'billing', enabled: true, plan: 'invoice', grant: ['runs:read'], secret: expect.stringMatching(/^whsec_/) });
    const shown = await api.call('GET', `/v1/webhooks/${answer.body.id}`);
    expect(shown.body).not.toHaveProperty('secret');
    const bare = String(answer.body['secret']).slice(6, 30);
    const rows = await api.rig.system.sql`select encode(secret, 'escape') as secret, definition from kos.webhooks where id = ${answer.body.id}`;
    const audit = await api.rig.system.sql`select action, data from kos.audit_entries where subject = ${answer.body.id}`;
    expect(JSON.stringify([rows, audit])).not.toContain(bare);
    expect(audit).toMatchObject([{ action: 'webhook.create' }]);
    expect((await create({ name: 'billing' })).body).toMatchObject({ code: 'webhook_exists', fix: expect.stringContaining('kai webhook update billing') });
  });

  it('refuses what it could never do, and says where', async () => {
    const refused = async (more: object) => (await create(more)).body.errors.map(({ pointer }) => pointer);
    expect(await refused({ url: 'ftp://x.example/' })).toEqual(['/url']);
    expect(await refused({ url: 'https://user:secret@x.example/' })).toEqual(['/url']);
    expect(await refused({ events: [] })).toEqual(['/events']);
    expect(await refused({ events: ['run.exploded'] })).toEqual(['/events/0']);
  });

  it('is changed under its ETag, disabled, enabled, and removed with its deliveries', async () => {
    const hook = await made();
    const set = await api.call('PUT', `/v1/webhooks/${hook.id}`, {
      body: { url: 'https://other.example/', events: ['*'] },
      headers: { 'if-match': hook.etag },
    });
    expect(set.body).toMatchObject({ url: 'https://other.example/', events: ['*'], plan: null });
    const stale = await api.call('PUT', `/v1/webhooks/${hook.id}`, { body: { url: 'https://x.example/', events: ['*'] }, headers: { 'if-match': hook.etag } });
    expect([stale.status, stale.body.code]).toEqual([412, 'webhook_changed']);
    expect((await post(`/v1/webhooks/${hook.id}/disable`, { note: 'noise' })).body).toMatchObject({ enabled: false, note: 'noise' });
    await happen();
    await fan();
    expect((await post(`/v1/webhooks/${hook.id}/enable`, {})).body).toMatchObject({ enabled: true, note: null });
    await fan();
    expect(await deliveries(hook.id)).toEqual([]);
    const { headers } = await api.call('GET', `/v1/webhooks/${hook.id}`);
    expect((await api.call('DELETE', `/v1/webhooks/${hook.id}`, { headers: { 'if-match': headers.get('etag') ?? '' } })).status).toBe(204);
    expect((await api.call('GET', `/v1/webhooks/${hook.id}`)).body.code).toBe('webhook_not_found');
  });

  it('is tested: refused with the command that allows the host, then delivered and signed, with both secrets while they rotate', async () => {
    const hook = await made({ url: receiver.url('/tested') });
    const refused = await post(`/v1/webhooks/${hook.id}/test`);
    expect(refused.body).toMatchObject({ delivered: false, status: null, fix: `kai settings add egress ${receiver.host}` });
    expect(receiver.to('/tested')).toEqual([]);
    await allow([receiver.host]);
    const rotated = await post(`/v1/webhooks/${hook.id}/rotate`, {});
    expect((await post(`/v1/webhooks/${hook.id}/test`)).body).toMatchObject({ delivered: true, status: 204, error: null });
    const [sent] = receiver.to('/tested') as [ReceivedPost];
    for (const secret of [hook.secret, String(rotated.body['secret'])])
      expect(new Webhook(secret).verify(sent.body, sent.headers as Record<string, string>)).toMatchObject({ type: 'webhook.test' });
    receiver.answer('/tested', (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end());
    expect((await post(`/v1/webhooks/${hook.id}/test`)).body).toMatchObject({ delivered: false, error: expect.stringContaining('redirects are not followed') });
  });

  it('is told of every event once, whoever tells it and is killed in between', async () => {
    const hook = await made();
    await happen(450);
    // Whoever tells it loses its connections in the middle.
    const lost = fan().catch(() => undefined);
    await api.rig.asSuperuser(
      (sql) => sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${api.rig.addresses.system.database} and usename = 'kos_system'`,
    );
    await lost;
    // As the duty does: a connection that was ended may be noticed by the next query only.
    const again = async (): Promise<void> => {
      try {
        await fan();
      } catch (error) {
        if (!isPassingFailure(error)) throw error;
        await again();
      }
    };
    await Promise.all([again(), again(), again()]);
    await again();
    const rows = await api.rig.system.sql<{ eventId: string; body: string }[]>`
      select event_id as "eventId", body from kos.outgoing_deliveries where target_id = ${hook.id}`;
    expect([rows.length, new Set(rows.map(({ eventId }) => eventId)).size]).toEqual([450, 450]);
    expect(JSON.parse(rows[0]?.body ?? '')).toMatchObject({ type: 'run.failed', id: rows[0]?.eventId, data: { error: { code: 'tool_failed' } } });
    expect((await api.call('GET', `/v1/webhooks/${hook.id}`)).body).toMatchObject({ pending: 450, failed: 0 });
  });

  it('is told of what commits late, though it began first', async () => {
    const hook = await made();
    const workspaceId = api.owner.workspaceId;
    const event = { workspaceId, runId: null, type: 'run.failed' as const, data: {} };
    const [written, allowed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const late = api.rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      await recordEvents(sql, [event]);
      written.resolve();
      await allowed.promise;
    });
    await written.promise;
    await happen();
    await fan();
    expect(await deliveries(hook.id)).toHaveLength(1);
    allowed.resolve();
    await late;
    await numbered();
    await fan();
    expect(await deliveries(hook.id)).toHaveLength(2);
  });

  it('lists its dead letters, and sends one again, once per key; what is on its way is not', async () => {
    const hook = await made();
    await happen();
    await fan();
    const [pending] = await deliveries(hook.id);
    const again = (key: string) =>
      api.call('POST', `/v1/webhooks/${hook.id}/deliveries/${pending?.id ?? ''}/redeliver`, { headers: { 'idempotency-key': key } });
    expect((await again('a')).body.code).toBe('delivery_pending');
    await api.rig.system.sql`update kos.outgoing_deliveries set status = 'failed', finished_at = now(), reason = 'gone' where id = ${pending?.id ?? ''}`;
    expect(await deliveries(hook.id, '&status=failed')).toMatchObject([{ id: pending?.id, error: 'gone' }]);
    const [first, second] = [await again('b'), await again('b')];
    expect([first.status, first.body.id]).toEqual([202, second.body.id]);
    expect(first.body).toMatchObject({ status: 'pending', eventId: pending?.['eventId'], redeliveredBy: api.owner.principalId });
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    await api.rig.system.sql`update kos.outgoing_deliveries set finished_at = now() - interval '31 days' where id = ${pending?.id ?? ''}`;
    await pruneOutgoing(api.rig.system);
    expect(await deliveries(hook.id)).toMatchObject([{ id: first.body.id }]);
  });

  it('has all its dead letters sent again at once, the oldest first, each event once', async () => {
    const hook = await made();
    await happen(3);
    await fan();
    const all = await deliveries(hook.id);
    const { sql } = api.rig.system;
    const giveUp = (ids: readonly string[]) =>
      sql`update kos.outgoing_deliveries set status = 'failed', finished_at = now(), reason = 'gone' where id in ${sql([...ids])}`;
    const [newest, ...older] = all.map(({ id }) => id);
    await giveUp(older);
    const redeliver = (key: string, body: object = {}) =>
      api.call('POST', `/v1/webhooks/${hook.id}/redeliver`, { body, headers: { 'idempotency-key': `${hook.id}-${key}` } });
    expect((await redeliver('none', { type: 'run.succeeded' })).body).toEqual({ redelivered: 0, more: false });
    expect((await redeliver('later', { since: new Date(Date.now() + 60_000).toISOString() })).body).toEqual({ redelivered: 0, more: false });
    const [first, repeated] = [await redeliver('all', { type: 'run.failed' }), await redeliver('all', { type: 'run.failed' })];
    expect([first.status, first.body, repeated.body, repeated.headers.get('idempotency-replayed')]).toEqual([
      202,
      { redelivered: 2, more: false },
      { redelivered: 2, more: false },
      'true',
    ]);
    const again = (await deliveries(hook.id)).filter(({ id }) => id !== newest && !older.includes(id));
    const facts = again.map((delivery) => `${delivery.status} ${String(delivery['eventId'])} ${String(delivery['redeliveredBy'])}`);
    const dead = all.filter(({ id }) => older.includes(id)).map((delivery) => `pending ${String(delivery['eventId'])} ${api.owner.principalId}`);
    expect(facts.toSorted()).toEqual(dead.toSorted());
    // What is on its way is left alone; what was given up again is not.
    expect((await redeliver('too-early')).body).toEqual({ redelivered: 0, more: false });
    await giveUp(again.slice(0, 1).map(({ id }) => id));
    expect((await redeliver('once-more')).body).toEqual({ redelivered: 1, more: false });
    const theirs = await api.makeKey({ roles: ['owner'], workspaceId: await api.makeWorkspace() });
    const foreign = await api.call('POST', `/v1/webhooks/${hook.id}/redeliver`, { apiKey: theirs.apiKey, body: {}, headers: { 'idempotency-key': 'x' } });
    expect(foreign.body.code).toBe('webhook_not_found');
  });

  it('sends 500 dead letters again at once, and says that there are more', async () => {
    const hook = await made();
    await api.rig.system.sql`
      insert into kos.outgoing_deliveries (id, workspace_id, target_id, event_id, type, body, status, finished_at)
      select 'odl_' || n, ${api.owner.workspaceId}, ${hook.id}, 'evt_' || n, 'run.failed', '{}', 'failed', now() from generate_series(1, 501) n`;
    const redeliver = (key: string) => api.call('POST', `/v1/webhooks/${hook.id}/redeliver`, { body: {}, headers: { 'idempotency-key': `${hook.id}-${key}` } });
    expect((await redeliver('a')).body).toEqual({ redelivered: 500, more: true });
    expect((await redeliver('b')).body).toEqual({ redelivered: 1, more: false });
  });

  it('belongs to its workspace', async () => {
    const hook = await made();
    const other = await api.makeKey({ roles: ['owner'], workspaceId: await api.makeWorkspace() });
    expect((await api.call('GET', `/v1/webhooks/${hook.id}`, { apiKey: other.apiKey })).status).toBe(404);
    expect((await api.call('GET', '/v1/webhooks', { apiKey: other.apiKey })).body.items).toEqual([]);
  });
});
