import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import express, { type Response } from 'express';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { EventEnvelope } from '#schemas/event.ts';
import { recordEvents } from '#services/records/record.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import type { FeedRequest, StreamTiming } from './event-feed.ts';
import { sendEvents } from './event-socket.ts';
import { streamEvents } from './event-stream.ts';

let api: TestApi;
/** A run with more events than any connection buffers: 300 of 100,000 characters. */
let runId: string;

const all = 300;
const textLength = 100_000;
/** A batch of the feed is 200 events; what a connection may hold of them is one that was written, and what fits before Node says "wait" (16 kB for HTTP). */
const mostHeldBytes = 2 * textLength;

const makeRun = () => api.rig.database.inWorkspace(api.owner.workspaceId, (transaction) => insertRun(transaction, { workspaceId: api.owner.workspaceId }));

beforeAll(async () => {
  api = await makeTestApi();
  runId = await makeRun();
  const text = 'x'.repeat(textLength);
  for (let count = 0; count < all; count += 1)
    await api.rig.database.inWorkspace(api.owner.workspaceId, ({ sql }) =>
      recordEvents(sql, [{ workspaceId: api.owner.workspaceId, runId, type: 'step.succeeded', data: { count, text } }]),
    );
  while ((await api.rig.system.sql`select 1 from kos.events where seq is null limit 1`).length > 0) await sleep(20);
});

afterAll(() => api.close());

const impatient: StreamTiming = { heartbeatEveryMs: 15_000, patienceMs: 300 };
const lossesBefore = { sse: 0, websocket: 0 };

beforeEach(() => {
  Object.assign(lossesBefore, api.dependencies.losses.counts());
});

interface Served {
  port: number;
  /** The feed of the first client has ended. */
  ended: Promise<void>;
  /** So has its connection. */
  closed: Promise<void>;
  /** The most that was held for it at once, in bytes. */
  mostHeld(): number;
  close(): void;
}

const requestOf = (run: string, signal: AbortSignal): FeedRequest => ({ scope: { workspaceId: api.owner.workspaceId, runId: run }, after: null, signal });

/** Looks at what a connection holds until it has gone. */
function watchHeld(heldNow: () => number): { most: () => number; stop: () => void } {
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, heldNow());
  }, 2);
  return { most: () => most, stop: () => clearInterval(timer) };
}

/** One run's stream on a server of its own, so that its timing can be chosen and its client can be anything. */
async function serveStream(run: string, timing: StreamTiming): Promise<Served> {
  const app = express();
  const [ended, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let most = (): number => 0;
  app.get('/', async (_request, response: Response) => {
    const gone = new AbortController();
    const held = watchHeld(() => response.writableLength);
    most = held.most;
    response.once('close', () => {
      gone.abort();
      held.stop();
      closed.resolve();
    });
    await streamEvents(response, api.dependencies, requestOf(run, gone.signal), timing);
    ended.resolve();
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    ended: ended.promise,
    closed: closed.promise,
    mostHeld: () => most(),
    close: () => server.close(),
  };
}

async function serveSocket(run: string, timing: StreamTiming): Promise<Served> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const [ended, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let most = (): number => 0;
  server.on('connection', (socket) => {
    const held = watchHeld(() => socket.bufferedAmount);
    most = held.most;
    socket.once('close', () => {
      held.stop();
      closed.resolve();
    });
    ended.resolve(sendEvents(socket, api.dependencies, requestOf(run, new AbortController().signal), timing));
  });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    ended: ended.promise,
    closed: closed.promise,
    mostHeld: () => most(),
    close: () => server.close(),
  };
}

/** Messages of a response until its end, whatever ends it. */
async function readAll(response: IncomingMessage): Promise<EventSourceMessage[]> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  response.setEncoding('utf8');
  for await (const text of response) parser.feed(String(text));
  return messages;
}

const countOf = (data: string): number | undefined => (JSON.parse(data) as { data: { count?: number } }).data.count;

/** What the product's own API sends after a position, as server-sent events. */
async function countsAfter(position: string, wanted: number): Promise<(number | undefined)[]> {
  const hangUp = new AbortController();
  const response = await fetch(`${api.url}/v1/runs/${runId}/events`, {
    headers: { authorization: `Bearer ${api.apiKey}`, accept: 'text/event-stream', 'last-event-id': position },
    signal: hangUp.signal,
  });
  const counts: (number | undefined)[] = [];
  const parser = createParser({ onEvent: ({ data }) => counts.push(countOf(data)) });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  while (counts.length < wanted) parser.feed((await reader.read()).value ?? '');
  hangUp.abort();
  return counts;
}

const inOrder = Array.from({ length: all }, (_, count) => count);

describe('a client of server-sent events that takes nothing', () => {
  it('is told that it is dropped, when it reads again, and goes on from where it was', async () => {
    const served = await serveStream(runId, impatient);
    const [response] = (await once(get(`http://127.0.0.1:${served.port}/`), 'response')) as [IncomingMessage];
    response.pause();
    await served.ended;
    expect(api.dependencies.listener.watching()).toBe(0);
    expect(served.mostHeld()).toBeLessThan(mostHeldBytes);
    expect(api.dependencies.losses.counts()).toEqual({ ...lossesBefore, sse: lossesBefore.sse + 1 });
    const messages = await readAll(response);
    const [last, dropped] = messages.slice(-2);
    expect([dropped?.event, dropped?.id, JSON.parse(dropped?.data ?? '{}')]).toEqual([
      'dropped',
      undefined,
      { reason: 'slow', message: 'You took nothing for 300 ms: come back with your position.', position: last?.id },
    ]);
    const got = messages.slice(1, -1).map(({ data }) => countOf(data));
    expect(got.length).toBeLessThan(all);
    expect([...got, ...(await countsAfter(last?.id ?? '', all - got.length))]).toEqual(inOrder);
    await served.closed;
    served.close();
  });

  it('is hung up on when it never reads again', async () => {
    const served = await serveStream(runId, impatient);
    const lazy = connect(served.port, '127.0.0.1');
    lazy.pause();
    lazy.on('error', () => lazy.destroy());
    lazy.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await served.ended;
    const endedAt = performance.now();
    await served.closed;
    expect(performance.now() - endedAt).toBeLessThan(4_000);
    expect(served.mostHeld()).toBeLessThan(mostHeldBytes);
    lazy.destroy();
    served.close();
  });

  it('is counted among the metrics', async () => {
    const served = await serveStream(runId, impatient);
    const lazy = connect(served.port, '127.0.0.1');
    lazy.pause();
    lazy.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await served.ended;
    lazy.destroy();
    served.close();
    const shown = async (): Promise<string | undefined> =>
      (await api.call('GET', '/metrics')).text.split('\n').find((line) => line.startsWith('kos_event_streams_dropped_total{kind="sse"}'));
    const line = `kos_event_streams_dropped_total{kind="sse"} ${lossesBefore.sse + 1}`;
    // Asked twice: a look counts nothing.
    expect([await shown(), await shown()]).toEqual([line, line]);
  });
});

describe('a client of a WebSocket that takes nothing', () => {
  it('is dropped with a reason, and goes on from where it was', async () => {
    const served = await serveSocket(runId, impatient);
    const lazy = new WebSocket(`ws://127.0.0.1:${served.port}/`);
    const received: EventEnvelope[] = [];
    lazy.on('message', (message: Buffer) => received.push(JSON.parse(message.toString()) as EventEnvelope));
    const closed = once(lazy, 'close') as Promise<[number, Buffer]>;
    await once(lazy, 'open');
    lazy.pause();
    await served.ended;
    expect(api.dependencies.listener.watching()).toBe(0);
    expect(served.mostHeld()).toBeLessThan(mostHeldBytes);
    expect(api.dependencies.losses.counts()).toEqual({ ...lossesBefore, websocket: lossesBefore.websocket + 1 });
    lazy.resume();
    const [code, reason] = await closed;
    const position = received.at(-1)?.position ?? '';
    expect([code, reason.toString()]).toEqual([1013, `You took nothing for 300 ms: come back with after=${position}`]);
    const got = received.slice(2).map(({ payload }) => payload['count']);
    expect(got.length).toBeLessThan(all);
    expect([...got, ...(await countsAfter(position, all - got.length))]).toEqual(inOrder);
    served.close();
  });

  it('is hung up on when it never reads again', async () => {
    const served = await serveSocket(runId, impatient);
    const lazy = new WebSocket(`ws://127.0.0.1:${served.port}/`);
    await once(lazy, 'open');
    lazy.pause();
    await served.ended;
    const endedAt = performance.now();
    await served.closed;
    expect(performance.now() - endedAt).toBeLessThan(4_000);
    lazy.terminate();
    served.close();
  });

  it('is hung up on when it answers no beat', async () => {
    const served = await serveSocket(await makeRun(), { heartbeatEveryMs: 50, patienceMs: 30_000 });
    const deaf = new WebSocket(`ws://127.0.0.1:${served.port}/`, { autoPong: false });
    const closed = once(deaf, 'close');
    await served.ended;
    expect((await closed)[0]).toBe(1006);
    expect(api.dependencies.listener.watching()).toBe(0);
    served.close();
  });
});

it('a client that is slow but reads is not dropped', async () => {
  // A system's own buffers take and give some megabytes at a time.
  const served = await serveStream(runId, { ...impatient, patienceMs: 5_000 });
  const [response] = (await once(get(`http://127.0.0.1:${served.port}/`), 'response')) as [IncomingMessage];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    await sleep(Math.ceil((chunk as Buffer).length / 8_000));
    if (bytes > 12_000_000) break;
  }
  expect(bytes).toBeGreaterThan(12_000_000);
  expect(api.dependencies.losses.counts()).toEqual(lossesBefore);
  await served.closed;
  served.close();
});
