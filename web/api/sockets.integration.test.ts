import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { usualRates } from '#core/policy/rates.ts';
import type { EventEnvelope, EventType } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import { recordEvents } from '#services/records/record.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

const makeRun = (workspaceId = api.owner.workspaceId) => api.rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId }));

const record = (runId: string | null, type: EventType, data: JsonObject, workspaceId = api.owner.workspaceId) =>
  api.rig.database.inWorkspace(workspaceId, ({ sql }) => recordEvents(sql, [{ workspaceId, runId, type, data }]));

interface Client {
  socket: WebSocket;
  received: EventEnvelope[];
  closed: Promise<{ code: number; reason: string }>;
  /** Once so many messages, `ready` included, have come. */
  until(count: number): Promise<EventEnvelope[]>;
}

const addressOf = (query: string, url = api.url): string => `${url.replace('http', 'ws')}/v1/ws${query}`;

async function open(query = '', options: { apiKey?: string | null; headers?: Record<string, string>; url?: string } = {}): Promise<Client> {
  const { apiKey = api.apiKey, headers = {}, url } = options;
  const socket = new WebSocket(addressOf(query, url), { headers: { ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }), ...headers } });
  const received: EventEnvelope[] = [];
  socket.on('message', (message: Buffer) => received.push(JSON.parse(message.toString()) as EventEnvelope));
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(socket, 'open');
  const until = async (count: number): Promise<EventEnvelope[]> => {
    await expect.poll(() => received.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
    return received;
  };
  await until(1);
  return { socket, received, closed, until };
}

/** What the server answers instead of a socket. */
async function refused(query = '', headers: Record<string, string> = {}, url = api.url): Promise<{ status: number; code: string }> {
  const socket = new WebSocket(addressOf(query, url), { headers });
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, code: (JSON.parse(text) as { code: string }).code };
}

describe('the socket of events', () => {
  it('says where it begins, then sends what comes to the whole workspace, in the envelope', async () => {
    const runId = await makeRun();
    await expect.poll(async () => (await api.call('GET', `/v1/runs/${runId}/events`)).body.items.length).toBe(1);
    const client = await open();
    const other = await makeRun();
    await record(runId, 'step.succeeded', { stepPath: 'read', agent: 'kTest:reader' });
    await record(null, 'plan.saved', { name: 'p' });
    const [ready, ...events] = await client.until(4);
    expect(ready).toEqual({ id: null, type: 'ready', agent: null, task_id: null, payload: {}, timestamp: expect.any(String), position: expect.any(String) });
    expect(events.map(({ type, task_id: run, agent }) => [type, run, agent])).toEqual([
      ['run.accepted', other, null],
      ['step.succeeded', runId, 'kTest:reader'],
      ['plan.saved', null, null],
    ]);
    expect(events[1]).toMatchObject({ id: expect.stringMatching(/^evt_/), payload: { stepPath: 'read' }, timestamp: expect.any(String) });
    client.socket.close();
    await client.closed;
    await expect.poll(() => api.dependencies.listener.watching()).toBe(0);
  });

  it('goes on after any position, that of `ready` too: nothing twice, nothing lost', async () => {
    const runId = await makeRun();
    const first = await open('?topic=step');
    let after = first.received[0]?.position ?? '';
    first.socket.terminate();
    for (let count = 0; count < 300; count += 1) await record(runId, 'step.succeeded', { count });
    const seen: unknown[] = [];
    while (seen.length < 300) {
      const take = 1 + Math.floor(Math.random() * 90);
      const client = await open(`?topic=step&after=${after}`);
      const wanted = Math.min(take, 300 - seen.length);
      const events = (await client.until(1 + wanted)).slice(1, 1 + wanted);
      client.socket.terminate();
      seen.push(...events.map(({ payload }) => payload['count']));
      after = events.at(-1)?.position ?? after;
    }
    expect(seen).toEqual(Array.from({ length: 300 }, (_, count) => count));
  });

  it('says reset, and starts over, for a position of another epoch', async () => {
    const client = await open('?after=abc123-7');
    const [ready, reset] = await client.until(3);
    expect([ready?.type, reset?.type, reset?.payload, reset?.position]).toEqual(['ready', 'reset', { reason: 'another_epoch' }, null]);
    client.socket.terminate();
  });

  it('sends a run’s events from the first one on, and topics alone that were asked for', async () => {
    const runId = await makeRun();
    await record(runId, 'step.started', { stepPath: 'a' });
    await record(runId, 'run.started', {});
    const ofRun = await open(`?run=${runId}`);
    expect((await ofRun.until(4)).slice(1).map(({ type }) => type)).toEqual(['run.accepted', 'step.started', 'run.started']);
    const ofTopic = await open(`?run=${runId}&topic=run`);
    expect((await ofTopic.until(3)).slice(1).map(({ type }) => type)).toEqual(['run.accepted', 'run.started']);
    for (const { socket } of [ofRun, ofTopic]) socket.terminate();
  });

  it('sends nothing that its reader may not read, nor anything of another workspace', async () => {
    const elsewhere = await api.makeWorkspace();
    const { apiKey } = await api.makeKey({ roles: ['owner'], scopes: ['runs:read'] });
    const client = await open('', { apiKey });
    const runId = await makeRun();
    await makeRun(elsewhere);
    await record(runId, 'approval.requested', { stepPath: 'a' });
    await record(null, 'plan.saved', { name: 'p' });
    await record(runId, 'run.started', {});
    expect((await client.until(3)).slice(1).map(({ type, task_id: run }) => [type, run])).toEqual([
      ['run.accepted', runId],
      ['run.started', runId],
    ]);
    client.socket.terminate();
    expect(await refused('?topic=approval', { authorization: `Bearer ${apiKey}` })).toEqual({ status: 403, code: 'permission_missing' });
    const theirs = await api.makeKey({ roles: ['owner'], workspaceId: elsewhere });
    expect(await refused(`?run=${runId}`, { authorization: `Bearer ${theirs.apiKey}` })).toEqual({ status: 404, code: 'run_not_found' });
  });

  it('stops sending what its reader has lost the right to, and closes within 5 s of a revocation', async () => {
    const { apiKey, credentialId } = await api.makeKey({ roles: ['viewer'], scopes: ['runs:read', 'plans:read'] });
    const { sql } = api.rig.system;
    const client = await open('', { apiKey });
    await sql`update kos.credentials set scopes = '["runs:read"]' where id = ${credentialId}`;
    // Rights are looked at every other second; until then both kinds come.
    const kindsOf = async (round: number): Promise<string[]> => {
      await record(null, 'plan.saved', { round });
      await record(null, 'starts.released', { round });
      const ofRound = (): string[] => client.received.filter(({ payload }) => payload['round'] === round).map(({ type }) => type);
      await expect.poll(ofRound).toContain('starts.released');
      return ofRound();
    };
    let round = 0;
    await expect.poll(() => kindsOf((round += 1)), { timeout: 10_000, interval: 100 }).toEqual(['starts.released']);
    expect(client.socket.readyState).toBe(WebSocket.OPEN);
    const revokedAt = performance.now();
    await sql`update kos.credentials set revoked_at = now() where id = ${credentialId}`;
    expect(await client.closed).toEqual({ code: 1008, reason: 'Your right to these events has ended.' });
    expect(performance.now() - revokedAt).toBeLessThan(5_000);
  });

  it('closes on whatever its client says, and reads nothing large', async () => {
    const talkative = await open();
    talkative.socket.send('{"subscribe":"everything"}');
    expect(await talkative.closed).toEqual({ code: 1008, reason: 'This socket goes from server to client only.' });
    const large = await open();
    large.socket.send('x'.repeat(10_000));
    expect((await large.closed).code).toBe(1009);
    await expect.poll(() => api.dependencies.listener.watching()).toBe(0);
  });
});

describe('who gets a socket', () => {
  it('is nobody without a credential, and nobody by one in the address', async () => {
    expect(await refused()).toEqual({ status: 401, code: 'credential_missing' });
    expect(await refused('', { authorization: 'Bearer kos_none' })).toEqual({ status: 401, code: 'credential_refused' });
    for (const name of ['token', 'access_token', 'apiKey'])
      expect(await refused(`?${name}=${api.apiKey}`, { authorization: `Bearer ${api.apiKey}` })).toEqual({ status: 400, code: 'request_invalid' });
    expect(await refused(`?token=${api.apiKey}`)).toEqual({ status: 401, code: 'credential_missing' });
  });

  it('is a session on our own pages alone', async () => {
    const { headers } = await api.makeSession();
    const { socket } = await open('', { apiKey: null, headers });
    socket.terminate();
    for (const origin of ['https://evil.example', 'https://kos.example:8443', 'http://kos.example', 'null'])
      expect(await refused('', { ...headers, origin })).toEqual({ status: 403, code: 'origin_refused' });
    expect(await refused('', { cookie: headers.cookie })).toEqual({ status: 403, code: 'origin_refused' });
    expect(await refused('', { authorization: `Bearer ${api.apiKey}`, origin: 'https://evil.example' })).toEqual({ status: 403, code: 'origin_refused' });
  });

  it('is as many at once as streams may be open, whatever ends them', async () => {
    const strict = await makeTestApi({ rates: { ...usualRates, person: [], streamsOfPerson: 1 } });
    const options = { apiKey: strict.apiKey, url: strict.url };
    const headers = { authorization: `Bearer ${strict.apiKey}` };
    const first = await open('', options);
    expect(await refused('', headers, strict.url)).toEqual({ status: 429, code: 'streams_limited' });
    first.socket.terminate();
    await expect.poll(() => strict.dependencies.listener.watching()).toBe(0);
    // A handshake that is none opens nothing and counts for nothing.
    expect(await refusedByLibrary(strict.url, headers)).toMatch(/^HTTP\/1\.1 400 /);
    const second = await open('', options);
    second.socket.terminate();
    await strict.close();
  });

  it('is nobody who does not ask for one', async () => {
    const answer = await api.call('GET', '/v1/ws');
    expect([answer.status, answer.body.code, answer.headers.get('upgrade')]).toEqual([426, 'upgrade_required', 'websocket']);
    const socket = new WebSocket(`${api.url.replace('http', 'ws')}/v1/runs`, { headers: { authorization: `Bearer ${api.apiKey}` } });
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).toBe(200);
    response.resume();
  });
});

/** The first line of what comes back for a handshake without its key. */
async function refusedByLibrary(url: string, headers: Record<string, string>): Promise<string> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = Object.entries({ host, connection: 'Upgrade', upgrade: 'websocket', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /v1/ws HTTP/1.1\r\n${lines.join('')}\r\n`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text.split('\r\n')[0] ?? '';
}
