import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usualRates } from '#core/policy/rates.ts';
import { pruneDeliveries } from '#services/triggers/prune.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertApproval } from '#tests/rig/test-runs.ts';

let api: TestApi;
beforeAll(async () => {
  api = await makeTestApi({ realRuns: true });
  const source =
    'plan: greet\ninput: { type: object, required: [who], properties: { who: { type: string }, from: { type: string } } }\nsteps:\n  only: { transform: "${input.who}" }\n';
  await api.call('POST', '/v1/plans', { body: { source } });
});
afterAll(() => api.close());

let count = 0;
const next = (): number => (count += 1);
interface Made {
  id: string;
  secret: string;
  etag: string;
}
const create = (more: object = {}, apiKey?: string): Promise<Answer> =>
  api.call('POST', '/v1/triggers', {
    body: { name: `trigger-${next()}`, plan: 'greet', scheme: 'standard', input: { who: '${body.name}' }, ...more },
    ...(apiKey === undefined ? {} : { apiKey }),
  });
const made = async (more: object = {}, apiKey?: string): Promise<Made> => {
  const answer = await create(more, apiKey);
  if (answer.status !== 201) throw new Error(answer.text);
  return { id: answer.body.id, secret: String(answer.body['secret']), etag: answer.headers.get('etag') ?? '' };
};
const post = (path: string, body: object = {}): Promise<Answer> => api.call('POST', path, { body, headers: { 'idempotency-key': `key-${next()}` } });

/** As its sender would. */
const send = (trigger: Pick<Made, 'id'>, text: string, headers: Record<string, string> = {}): Promise<Answer> =>
  api.call('POST', `/hooks/${trigger.id}`, { apiKey: null, text, headers: { 'content-type': 'application/json', ...headers } });
const signedBy = (secret: string, text: string, id = `msg_${next()}`, at = new Date()): Record<string, string> => ({
  'webhook-id': id,
  'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
  'webhook-signature': new Webhook(secret).sign(id, at, text),
});
const sendSigned = (trigger: Made, body: object, id?: string): Promise<Answer> => {
  const text = JSON.stringify(body);
  return send(trigger, text, signedBy(trigger.secret, text, id));
};
const hmac = (secret: string, text: string): string => createHmac('sha256', secret).update(text).digest('hex');
const runsOf = async (triggerId: string): Promise<{ id: string; input: object; responsible: string }[]> =>
  api.rig.system.sql`select id, input, responsible from kos.runs where origin->>'id' = ${triggerId} order by created_at`;
const deliveries = async (id: string) => (await api.call('GET', `/v1/triggers/${id}/deliveries?limit=200`)).body.items;

describe('a delivery', () => {
  it('that is signed and fits starts a run with the input that was mapped, for the trigger’s creator', async () => {
    const trigger = await made({ input: { who: '${body.name}', from: '${headers["x-sender"]}' } });
    const text = JSON.stringify({ name: 'Ada' });
    const answer = await send(trigger, text, { ...signedBy(trigger.secret, text), 'x-sender': 'crm' });
    expect([answer.status, Object.keys(answer.body).toSorted()]).toEqual([202, ['deliveryId', 'runId']]);
    const [run] = await runsOf(trigger.id);
    expect(run).toEqual({ id: answer.body['runId'], input: { who: 'Ada', from: 'crm' }, responsible: api.owner.principalId });
    expect(await deliveries(trigger.id)).toMatchObject([{ id: answer.body['deliveryId'], status: 'accepted', runId: run?.id }]);
    const events = await api.rig.system.sql`select data from kos.events where type = 'trigger.delivered' and run_id = ${run?.id ?? ''}`;
    expect(events).toMatchObject([{ data: { triggerId: trigger.id, status: 'accepted' } }]);
  });

  it('that the filter is false for is ignored', async () => {
    const trigger = await made({ filter: 'body.action == "opened"' });
    expect((await sendSigned(trigger, { name: 'Ada', action: 'closed' })).body).toMatchObject({ ignored: 'the filter is false for it' });
    expect((await sendSigned(trigger, { name: 'Ada', action: 'opened' })).body).toHaveProperty('runId');
    expect(await runsOf(trigger.id)).toHaveLength(1);
  });

  it('that no run can be made of is told so without telling how, and may come again', async () => {
    const trigger = await made();
    const failed = await sendSigned(trigger, { name: 7 }, 'msg_again');
    expect([failed.status, failed.body.code]).toEqual([422, 'input_invalid']);
    expect(failed.text).not.toContain('/who');
    expect(await deliveries(trigger.id)).toMatchObject([{ id: failed.body['deliveryId'], status: 'failed', reason: expect.stringContaining('who') }]);
    expect((await sendSigned(trigger, { name: 'Ada' }, 'msg_again')).body).toHaveProperty('runId');
  });

  it('that comes 100 times at once is one run; the others are told which, and can be run anyway', async () => {
    const trigger = await made();
    const answers = await Promise.all(Array.from({ length: 100 }, () => sendSigned(trigger, { name: 'Ada' }, 'msg_same')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const first = answers.find(({ body }) => body['runId'] !== undefined);
    expect(answers.filter(({ body }) => body['duplicateOf'] === first?.body['deliveryId'])).toHaveLength(99);
    expect(await runsOf(trigger.id)).toHaveLength(1);
    const duplicate = (await deliveries(trigger.id)).find(({ status }) => status === 'duplicate');
    const again = await post(`/v1/triggers/${trigger.id}/deliveries/${duplicate?.id ?? ''}/redeliver`);
    expect(again.body).toMatchObject({ status: 'accepted', redeliveredBy: api.owner.principalId });
    expect(await runsOf(trigger.id)).toHaveLength(2);
  });

  it('300 bad ones start nothing, are all answered alike, and the operator sees why', async () => {
    const trigger = await made();
    const disabled = await made();
    await post(`/v1/triggers/${disabled.id}/disable`, { note: 'not now' });
    const text = JSON.stringify({ name: 'Ada' });
    const good = signedBy(trigger.secret, text, 'msg_replayed');
    const bad: (() => Promise<Answer>)[] = [
      () => send(trigger, text, signedBy(trigger.secret, text, 'msg_old', new Date(Date.now() - 400_000))),
      () => send(trigger, text, signedBy(trigger.secret, text, 'msg_new', new Date(Date.now() + 400_000))),
      () => send(trigger, JSON.stringify({ name: 'Ada' }, null, 1), signedBy(trigger.secret, text)),
      () => send(trigger, text, signedBy(`whsec_${Buffer.alloc(32, 1).toString('base64')}`, text)),
      () => send(trigger, text, { ...good, 'webhook-id': 'msg_other' }),
      () => send(trigger, text),
      () => send(trigger, text, { authorization: `Bearer ${api.apiKey}` }),
      () => send({ id: trigger.id.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }, text, good),
      () => send({ id: '../v1/runs' }, text, good),
      () => send(disabled, text, signedBy(disabled.secret, text)),
    ];
    const answers = await Promise.all(Array.from({ length: 300 }, (_, index) => (bad[index % bad.length] as () => Promise<Answer>)()));
    const refused = answers.filter((_, index) => index % bad.length !== 8);
    const told = new Set(refused.map(({ status, body }) => JSON.stringify([status, body.code, body['detail'], body.fix])));
    expect([...told]).toHaveLength(1);
    expect(refused[0]?.status).toBe(401);
    expect([await runsOf(trigger.id), await runsOf(disabled.id)]).toEqual([[], []]);
    const shown = await api.call('GET', `/v1/triggers/${trigger.id}`);
    expect(shown.body).toMatchObject({ refused: 210, lastRefusal: { reason: expect.any(String) } });
    expect((await api.call('GET', `/v1/triggers/${disabled.id}`)).body['lastRefusal']).toMatchObject({ reason: 'the trigger is disabled' });
  });

  it('is shown to those who may see bodies, without signatures and what is private; its secret is stored nowhere in clear', async () => {
    const trigger = await made({ private: { headers: ['x-customer'], body: ['/email'] }, input: { who: '${body.email}' } });
    const text = JSON.stringify({ email: 'ada@kos.example', kind: 'order' });
    const sent = await send(trigger, text, { ...signedBy(trigger.secret, text), 'x-customer': 'c-17', cookie: 'a=b', 'x-kind': 'test' });
    const path = `/v1/triggers/${trigger.id}/deliveries/${String(sent.body['deliveryId'])}`;
    const shown = await api.call('GET', path);
    expect(shown.body['body']).toEqual({ email: '[left out]', kind: 'order' });
    expect(shown.body['headers']).toMatchObject({ 'x-customer': '[left out]', cookie: '[left out]', 'webhook-signature': '[left out]', 'x-kind': 'test' });
    const operator = await api.makeKey({ roles: ['operator'] });
    expect((await api.call('GET', path, { apiKey: operator.apiKey })).body).toMatchObject({ code: 'permission_missing', permission: 'triggers:read-body' });
    const rows = await api.rig.system
      .sql`select encode(content, 'escape') as content, encode(t.secret, 'escape') as secret from kos.trigger_deliveries d join kos.triggers t on t.id = d.trigger_id where t.id = ${trigger.id}`;
    for (const hidden of ['ada@kos.example', 'c-17', trigger.secret.slice(6, 30)]) expect(JSON.stringify(rows)).not.toContain(hidden);
    const audit = await api.rig.system.sql`select data from kos.audit_entries where subject = ${trigger.id}`;
    expect(JSON.stringify(audit)).not.toContain(trigger.secret.slice(6, 30));
  });
});

describe('senders', () => {
  it('GitHub: a ping is answered, an event is known by its delivery id', async () => {
    const trigger = await made({ scheme: 'github' });
    const text = JSON.stringify({ name: 'Ada' });
    const from = (event: string, id: string) => ({
      'x-hub-signature-256': `sha256=${hmac(trigger.secret, text)}`,
      'x-github-event': event,
      'x-github-delivery': id,
    });
    expect((await send(trigger, text, from('ping', 'p1'))).body).toMatchObject({ ignored: 'ping' });
    expect((await send(trigger, text, from('issues', 'd1'))).body).toHaveProperty('runId');
    expect((await send(trigger, text, from('issues', 'd1'))).body).toHaveProperty('duplicateOf');
    const form = `payload=${encodeURIComponent(text)}`;
    const formTrigger = await made({ scheme: 'github', input: { who: '${body.payload.name}' } });
    const headers = { 'x-hub-signature-256': `sha256=${hmac(formTrigger.secret, form)}`, 'content-type': 'application/x-www-form-urlencoded' };
    expect((await send(formTrigger, form, headers)).body).toHaveProperty('runId');
  });

  it('Stripe: known by the event’s id', async () => {
    const trigger = await made({ scheme: 'stripe', secret: 'whsec_of_the_endpoint' });
    const text = JSON.stringify({ id: 'evt_1', name: 'Ada' });
    const headers = () => {
      const at = Math.floor(Date.now() / 1_000);
      return { 'stripe-signature': `t=${at},v1=${hmac('whsec_of_the_endpoint', `${at}.${text}`)}` };
    };
    expect((await send(trigger, text, headers())).body).toHaveProperty('runId');
    expect((await send(trigger, text, headers())).body).toHaveProperty('duplicateOf');
    expect((await create({ scheme: 'stripe' })).body.code).toBe('trigger_invalid');
  });

  it('Slack: its challenge is answered, an event is known by its event_id, a command comes as a form', async () => {
    const trigger = await made({ scheme: 'slack', secret: 'signing-secret-of-the-app', input: { who: '${"text" in body ? body.text : body.event.user}' } });
    const from = (text: string) => {
      const at = String(Math.floor(Date.now() / 1_000));
      return { 'x-slack-request-timestamp': at, 'x-slack-signature': `v0=${hmac('signing-secret-of-the-app', `v0:${at}:${text}`)}` };
    };
    const challenge = JSON.stringify({ type: 'url_verification', challenge: 'abc' });
    const answered = await send(trigger, challenge, from(challenge));
    expect([answered.status, answered.body]).toEqual([200, { challenge: 'abc' }]);
    const event = JSON.stringify({ event_id: 'Ev1', event: { user: 'U1' } });
    expect((await send(trigger, event, from(event))).body).toHaveProperty('runId');
    expect((await send(trigger, event, from(event))).body).toHaveProperty('duplicateOf');
    const command = 'command=%2Fgreet&text=Ada';
    expect((await send(trigger, command, { ...from(command), 'content-type': 'application/x-www-form-urlencoded' })).body).toHaveProperty('runId');
    expect((await runsOf(trigger.id)).map(({ input }) => input)).toEqual([{ who: 'U1' }, { who: 'Ada' }]);
  });

  it('bearer: by its token, known by Idempotency-Key alone', async () => {
    const trigger = await made({ scheme: 'bearer' });
    const text = JSON.stringify({ name: 'Ada' });
    const headers = { authorization: `Bearer ${trigger.secret}` };
    expect((await send(trigger, text, headers)).body).toHaveProperty('runId');
    expect((await send(trigger, text, headers)).body).toHaveProperty('runId');
    expect((await send(trigger, text, { ...headers, 'idempotency-key': 'one' })).body).toHaveProperty('runId');
    expect((await send(trigger, text, { ...headers, 'idempotency-key': 'one' })).body).toHaveProperty('duplicateOf');
  });
});

describe('a trigger', () => {
  it('shows the secret that it made once, and keeps two good while it is rotated', async () => {
    const trigger = await made();
    expect((await api.call('GET', `/v1/triggers/${trigger.id}`)).text).not.toContain(trigger.secret);
    const rotated = await post(`/v1/triggers/${trigger.id}/rotate`, { keepPreviousMs: 60_000 });
    const newer = { ...trigger, secret: String(rotated.body['secret']) };
    expect(rotated.body).toMatchObject({ previousSecretUntil: expect.any(String) });
    for (const one of [trigger, newer]) expect((await sendSigned(one, { name: 'Ada' })).body).toHaveProperty('runId');
    await post(`/v1/triggers/${trigger.id}/rotate`, { keepPreviousMs: 0 });
    for (const one of [trigger, newer]) expect((await sendSigned(one, { name: 'Ada' })).status).toBe(401);
  });

  it('is tried on a sample before it is made, and on what it has had after', async () => {
    const draft = { plan: 'greet', filter: 'body.n > 1', input: { who: '${body.name}' } };
    const trial = (sample: object) => post('/v1/triggers/test', { ...draft, sample });
    expect((await trial({ body: { n: 2, name: 'Ada' } })).body).toEqual({ matches: true, input: { who: 'Ada' }, faults: [] });
    expect((await trial({ body: { n: 1 } })).body).toEqual({ matches: false, input: null, faults: [] });
    expect((await trial({ body: { n: 2, name: 3 } })).body).toMatchObject({ matches: true, faults: [{ pointer: '/input/who' }] });
    const wrong = await post('/v1/triggers/test', { ...draft, filter: 'body.n >', sample: { body: {} } });
    expect([wrong.status, wrong.body.errors[0]?.pointer]).toEqual([422, '/filter']);
    const trigger = await made({ filter: 'body.name != "Eve"' });
    const { body } = await sendSigned(trigger, { name: 'Eve' });
    expect((await post(`/v1/triggers/${trigger.id}/test`, { deliveryId: body['deliveryId'] })).body).toMatchObject({ matches: false });
    expect((await post(`/v1/triggers/${trigger.id}/test`, { sample: { body: { name: 'Bob' } } })).body).toMatchObject({ matches: true, input: { who: 'Bob' } });
    expect(await runsOf(trigger.id)).toEqual([]);
  });

  it('is changed and removed under its ETag, and what does not fit is refused before it is written', async () => {
    const trigger = await made();
    const path = `/v1/triggers/${trigger.id}`;
    const definition = { plan: 'greet', scheme: 'standard', input: { who: 'constant' } };
    expect((await api.call('PUT', path, { body: definition })).status).toBe(428);
    const headers = { 'if-match': trigger.etag };
    const changed = await api.call('PUT', path, { body: definition, headers });
    expect([changed.status, changed.body.input]).toEqual([200, { who: 'constant' }]);
    expect((await api.call('PUT', path, { body: definition, headers })).body.code).toBe('trigger_changed');
    const now = { 'if-match': changed.headers.get('etag') ?? '' };
    expect((await api.call('PUT', path, { body: { ...definition, scheme: 'github' }, headers: now })).body.code).toBe('trigger_scheme');
    expect((await create({ input: { who: '${steps.x}' } })).body.code).toBe('trigger_invalid');
    expect((await create({ plan: 'no-such-plan' })).body.code).toBe('plan_not_found');
    expect((await api.call('DELETE', '/v1/plans/greet')).body).toMatchObject({ code: 'plan_in_use' });
    expect((await api.call('DELETE', path, { headers: now })).status).toBe(204);
    expect((await sendSigned(trigger, { name: 'Ada' })).status).toBe(401);
  });

  it('disables itself, with the reason, when its creator may start runs no longer', async () => {
    const member = await api.makeKey({ roles: ['operator'] });
    const trigger = await made({}, member.apiKey);
    expect((await sendSigned(trigger, { name: 'Ada' })).body).toHaveProperty('runId');
    await api.rig.system.sql`update kos.memberships set roles = '["viewer"]' where principal_id = ${member.principalId}`;
    expect((await sendSigned(trigger, { name: 'Ada' })).status).toBe(401);
    expect((await api.call('GET', `/v1/triggers/${trigger.id}`)).body).toMatchObject({
      enabled: false,
      note: expect.stringContaining('lost the permission runs:start'),
    });
    expect(await runsOf(trigger.id)).toHaveLength(1);
  });

  it('gives its creator no way to approve what it started, where four eyes are asked for', async () => {
    const scopes = ['runs:start', 'triggers:write', 'approvals:decide'];
    const creator = await api.makeKey({ roles: ['operator', 'approver'], scopes });
    const other = await api.makeKey({ roles: ['approver'], scopes });
    const trigger = await made({}, creator.apiKey);
    const { body } = await sendSigned(trigger, { name: 'Ada' });
    const { workspaceId } = api.owner;
    const { approvalId, digest } = await api.rig.database.inWorkspace(workspaceId, (transaction) =>
      insertApproval(transaction, { workspaceId, runId: String(body['runId']), fourEyes: true }),
    );
    const decide = (apiKey: string) =>
      api.call('POST', `/v1/approvals/${approvalId}/decisions`, {
        apiKey,
        body: { decision: 'approve', argumentsDigest: digest },
        headers: { 'idempotency-key': `decide-${next()}` },
      });
    expect((await decide(creator.apiKey)).body).toMatchObject({ status: 403, code: 'four_eyes' });
    expect((await decide(other.apiKey)).status).toBe(200);
  });
});

describe('rates', () => {
  it('hold for each trigger, whoever sends; what is refused counts against the address', async () => {
    const limited = await makeTestApi({
      realRuns: true,
      rates: { ...usualRates, hook: [{ name: 'hook', limit: 3, windowSeconds: 60 }], failedCredentials: [{ name: 'failed', limit: 5, windowSeconds: 60 }] },
    });
    try {
      await limited.call('POST', '/v1/plans', { body: { source: 'plan: any\nsteps:\n  only: { transform: 1 }\n' } });
      const answer = await limited.call('POST', '/v1/triggers', { body: { name: 'busy', plan: 'any', scheme: 'bearer' } });
      const hit = (token: string, from: string) =>
        limited.call('POST', `/hooks/${answer.body.id}`, { apiKey: null, text: '{}', headers: { authorization: `Bearer ${token}`, 'x-forwarded-for': from } });
      const statuses: number[] = [];
      for (let index = 0; index < 4; index += 1) statuses.push((await hit(String(answer.body['secret']), `203.0.113.${index + 1}`)).status);
      expect(statuses).toEqual([202, 202, 202, 429]);
      const guesses: number[] = [];
      for (let index = 0; index < 7; index += 1) guesses.push((await hit('wrong-token-of-somebody', '198.51.100.7')).status);
      expect(guesses.slice(0, 4)).toEqual([401, 401, 401, 401]);
      expect(guesses.at(-1)).toBe(429);
    } finally {
      await limited.close();
    }
  });
});

describe('deliveries', () => {
  it('are kept for 7 days, and no longer; then an equal one is a new one', async () => {
    const trigger = await made();
    const first = (await sendSigned(trigger, { name: 'Ada' }, 'msg_kept')).body;
    const other = (await sendSigned(trigger, { name: 'Bob' }, 'msg_fresh')).body;
    await api.rig.system
      .sql`update kos.trigger_deliveries set received_at = clock_timestamp() - interval '7 days 1 minute' where id = ${String(first['deliveryId'])}`;
    await api.rig.system
      .sql`update kos.trigger_deliveries set received_at = clock_timestamp() - interval '6 days 23 hours' where id = ${String(other['deliveryId'])}`;
    expect(await pruneDeliveries(api.rig.system)).toBe(false);
    expect((await deliveries(trigger.id)).map(({ id }: { id: string }) => id)).toEqual([other['deliveryId']]);
    expect((await sendSigned(trigger, { name: 'Bob' }, 'msg_fresh')).body).toMatchObject({ duplicateOf: other['deliveryId'] });
    expect((await sendSigned(trigger, { name: 'Ada' }, 'msg_kept')).body).toHaveProperty('runId');
  });
});
