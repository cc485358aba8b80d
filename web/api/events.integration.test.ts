import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import type { EventType } from '#schemas/event.ts';
import { recordEvents } from '#services/records/record.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import type { StreamTiming } from './event-feed.ts';
import { streamEvents } from './event-stream.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

const makeRun = () => api.rig.database.inWorkspace(api.owner.workspaceId, (transaction) => insertRun(transaction, { workspaceId: api.owner.workspaceId }));

const record = (runId: string | null, type: EventType, data: JsonObject) =>
  api.rig.database.inWorkspace(api.owner.workspaceId, ({ sql }) => recordEvents(sql, [{ workspaceId: api.owner.workspaceId, runId, type, data }]));

/** Reads messages of a stream until `enough`, then hangs up. */
async function readStream(
  /** A run's id, or a path. */
  of: string,
  enough: (messages: EventSourceMessage[]) => boolean,
  headers: Record<string, string> = {},
  query = '',
): Promise<EventSourceMessage[]> {
  const hangUp = new AbortController();
  const response = await fetch(`${api.url}${of.startsWith('/') ? of : `/v1/runs/${of}/events`}${query}`, {
    headers: { authorization: `Bearer ${api.apiKey}`, accept: 'text/event-stream', ...headers },
    signal: hangUp.signal,
  });
  expect([response.status, response.headers.get('content-type'), response.headers.get('content-encoding')]).toEqual([
    200,
    'text/event-stream; charset=utf-8',
    null,
  ]);
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  while (!enough(messages)) {
    const chunk = await reader.read();
    if (chunk.done) break;
    parser.feed(decoder.decode(chunk.value, { stream: true }));
  }
  hangUp.abort();
  return messages;
}

describe('the stream of events', () => {
  it('sends what was, then what comes, soon after the commit', async () => {
    const runId = await makeRun();
    const reading = readStream(runId, (messages) => messages.length >= 12);
    await expect.poll(() => api.dependencies.listener.watching()).toBeGreaterThan(0);
    for (let count = 0; count < 10; count += 1) await record(runId, 'step.succeeded', { count });
    await record(runId, 'run.succeeded', {});
    const committedAt = performance.now();
    const messages = await reading;
    expect(performance.now() - committedAt).toBeLessThan(2_000);
    expect(messages.map(({ event }) => event)).toEqual(['run.accepted', ...Array.from({ length: 10 }, () => 'step.succeeded'), 'run.succeeded']);
    expect(JSON.parse(messages[3]!.data)).toMatchObject({
      id: expect.stringMatching(/^evt_/),
      position: messages[3]!.id,
      type: 'step.succeeded',
      runId,
      data: { count: 2 },
    });
    await expect.poll(() => api.dependencies.listener.watching()).toBe(0);
  });

  it('goes on after the last event that was seen, by header or query: nothing twice, nothing lost', async () => {
    const runId = await makeRun();
    for (let count = 0; count < 450; count += 1) await record(runId, 'step.succeeded', { count });
    const seen: number[] = [];
    let last: string | undefined;
    while (seen.length < 450) {
      const take = 1 + Math.floor(Math.random() * 120);
      const headers: Record<string, string> = last !== undefined && seen.length % 2 === 0 ? { 'last-event-id': last } : {};
      const query = last !== undefined && seen.length % 2 === 1 ? `?after=${last}` : '';
      const messages = (await readStream(runId, (got) => got.length >= take || (got.at(-1)?.data ?? '').includes('"count":449'), headers, query)).slice(
        0,
        take,
      );
      last = messages.at(-1)?.id ?? last;
      seen.push(...messages.flatMap((message) => (JSON.parse(message.data).data.count as number | undefined) ?? []));
    }
    expect(seen).toEqual(Array.from({ length: 450 }, (_, count) => count));
  });

  it('says reset, and starts over, for a position of another epoch', async () => {
    const runId = await makeRun();
    const [reset, first] = await readStream(runId, (messages) => messages.length >= 2, { 'last-event-id': 'abc123-7' });
    expect([reset?.event, JSON.parse(reset?.data ?? '{}'), reset?.id]).toEqual(['reset', { reason: 'another_epoch' }, undefined]);
    expect(first?.event).toBe('run.accepted');
  });

  it('serves 100 clients of one run', async () => {
    const runId = await makeRun();
    const clients = Array.from({ length: 100 }, () => readStream(runId, (messages) => messages.length >= 21));
    await expect.poll(() => api.dependencies.listener.watching(), { timeout: 10_000 }).toBe(100);
    for (let count = 0; count < 20; count += 1) await record(runId, 'step.succeeded', { count });
    for (const messages of await Promise.all(clients)) expect(messages).toHaveLength(21);
  });
});

describe('the stream of a workspace', () => {
  it('says where it begins, sends what comes to all runs, and goes on after any position', async () => {
    const first = await makeRun();
    await expect.poll(async () => (await api.call('GET', `/v1/runs/${first}/events`)).body.items.length).toBe(1);
    const reading = readStream('/v1/events', (messages) => messages.length >= 4);
    await expect.poll(() => api.dependencies.listener.watching()).toBeGreaterThan(0);
    const second = await makeRun();
    await record(first, 'run.started', {});
    await record(null, 'plan.saved', { name: 'p' });
    const [ready, ...messages] = await reading;
    expect(ready).toMatchObject({ event: 'ready', data: JSON.stringify({ position: ready?.id }) });
    expect(messages.map(({ event }) => event)).toEqual(['run.accepted', 'run.started', 'plan.saved']);
    expect(JSON.parse(messages[0]!.data)).toMatchObject({ runId: second });
    const again = await readStream('/v1/events', (got) => got.length >= 1, { 'last-event-id': messages[0]?.id ?? '' }, '?topic=plan,approval');
    expect(again[0]?.id).toBe(messages[2]?.id);
  });

  it('gives its position before anything has come', async () => {
    const [ready] = await readStream('/v1/events', (messages) => messages.length >= 1);
    const runId = await makeRun();
    const [next] = await readStream('/v1/events', (messages) => messages.length >= 1, {}, `?after=${ready?.id ?? ''}`);
    expect(JSON.parse(next!.data)).toMatchObject({ runId, type: 'run.accepted' });
  });

  it('is a page of what its reader may read for those who ask for JSON', async () => {
    const runId = await makeRun();
    await record(runId, 'approval.requested', { stepPath: 'a' });
    const { apiKey } = await api.makeKey({ roles: ['owner'], scopes: ['runs:read'] });
    const types = async (query: string): Promise<unknown[]> =>
      (await api.call('GET', `/v1/events${query}`, { apiKey, headers: { accept: 'application/json' } })).body.items.map(({ type }) => type);
    await expect.poll(async () => (await api.call('GET', `/v1/runs/${runId}/events`)).body.items.length).toBe(2);
    expect(await types(`?run=${runId}`)).toEqual(['run.accepted']);
    expect(new Set((await types('?limit=200&topic=run')).map((type) => String(type).split('.')[0]))).toEqual(new Set(['run']));
    expect((await api.call('GET', '/v1/events?topic=approval', { apiKey })).body.code).toBe('permission_missing');
  });
});

describe('a stream of its own', () => {
  /** One stream on a server of its own, so that its timing can be chosen and its client can be anything. */
  async function serve(runId: string, timing: StreamTiming): Promise<{ port: number; ended: Promise<void>; close: () => void }> {
    const app = express();
    const ended = Promise.withResolvers<void>();
    app.get('/', async (_request, response) => {
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      await streamEvents(response, api.dependencies, { scope: { workspaceId: api.owner.workspaceId, runId }, after: null, signal: gone.signal }, timing);
      ended.resolve();
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { port: (server.address() as AddressInfo).port, ended: ended.promise, close: () => server.close() };
  }

  it('beats while nothing happens, so that both sides know that the other is there', async () => {
    const { port, close } = await serve(await makeRun(), { heartbeatEveryMs: 50, patienceMs: 30_000 });
    const response = await fetch(`http://127.0.0.1:${port}/`);
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.split(': heartbeat').length > 3) break;
    }
    // On a busy machine the first beat may come before the first event.
    expect(text).toMatch(/^retry: 1000\n\n(: heartbeat\n\n)*id: [0-9a-f]+-\d+\nevent: run\.accepted\n/);
    close();
  });
});

describe('pages of events', () => {
  it('are for those who ask for JSON', async () => {
    const runId = await makeRun();
    for (let count = 0; count < 5; count += 1) await record(runId, 'step.started', { count });
    const page = (after: string | null) =>
      api.call('GET', `/v1/runs/${runId}/events?limit=4${after === null ? '' : `&after=${after}`}`, { headers: { accept: 'application/json' } });
    await expect.poll(async () => (await api.call('GET', `/v1/runs/${runId}/events`)).body.items.length).toBe(6);
    const first = await page(null);
    const second = await page(first.body.nextCursor);
    expect([first.body.items.length, second.body.items.length, second.body.nextCursor, second.body['reset']]).toEqual([4, 2, null, false]);
    expect((await page('abc123-9')).body['reset']).toBe(true);
  });

  it('read as lines of a log', async () => {
    const runId = await makeRun();
    await record(runId, 'step.retrying', { stepPath: 'fetch', attempt: 2, error: { code: 'http_500', message: 'The server answered 500.' } });
    await record(runId, 'approval.decided', { stepPath: 'signOff', decision: 'approve' });
    await expect.poll(async () => (await api.call('GET', `/v1/runs/${runId}/logs`)).body.items.length).toBe(3);
    const { items } = (await api.call('GET', `/v1/runs/${runId}/logs`)).body;
    expect(items.map(({ level, text, stepPath }) => [level, text, stepPath])).toEqual([
      ['info', 'run accepted', null],
      ['warn', 'fetch retrying (attempt 2): The server answered 500.', 'fetch'],
      ['info', 'approval decided: approved at signOff', 'signOff'],
    ]);
  });
});
