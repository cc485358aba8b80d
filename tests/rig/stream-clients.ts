import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { WebSocket } from 'ws';
import type { EventEnvelope, KosEvent } from '#schemas/event.ts';

/** What a client of either kind keeps of an event. */
export interface SeenEvent {
  id: string;
  position: string;
  type: string;
  runId: string | null;
}

/** A client that comes back with its position whenever its connection breaks, as browsers' EventSource does. */
export interface StreamClient {
  name: string;
  seen: SeenEvent[];
  /** How often it was connected. */
  connections(): number;
  /** Reasons of `reset`, which no client here should meet. */
  resets: string[];
  stop(): Promise<void>;
}

export interface StreamAsk {
  name: string;
  url: string;
  apiKey: string;
  /** Null: the whole workspace. */
  runId: string | null;
}

interface Connection {
  /** Position seen last; null: none yet. */
  after: string | null;
  signal: AbortSignal;
  connected(): void;
  stands(position: string): void;
  event(event: SeenEvent): void;
  reset(reason: string): void;
}

const comeBackAfterMs = 100;

/** Resolves once it is connected and knows where it stands. */
export const followByEventStream = (ask: StreamAsk): Promise<StreamClient> => follow(ask, readEventStream);
export const followBySocket = (ask: StreamAsk): Promise<StreamClient> => follow(ask, readSocket);

async function follow(ask: StreamAsk, read: (ask: StreamAsk, connection: Connection) => Promise<void>): Promise<StreamClient> {
  const [seen, resets]: [SeenEvent[], string[]] = [[], []];
  const over = new AbortController();
  const ready = Promise.withResolvers<void>();
  let connections = 0;
  let after: string | null = null;

  const connection = (): Connection => ({
    after,
    signal: over.signal,
    connected: () => {
      connections += 1;
      if (ask.runId !== null) ready.resolve();
    },
    stands: (position) => {
      after = position;
      ready.resolve();
    },
    event: (event) => {
      seen.push(event);
      after = event.position;
    },
    reset: (reason) => void resets.push(reason),
  });

  const following = (async () => {
    while (!over.signal.aborted) {
      // Whatever broke it (refused, reset, ended) is what this client is here to outlive.
      await read(ask, connection()).catch(() => undefined);
      await sleep(comeBackAfterMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  await ready.promise;

  return {
    name: ask.name,
    seen,
    connections: () => connections,
    resets,
    stop: async () => {
      over.abort();
      await following;
    },
  };
}

async function readEventStream({ url, apiKey, runId }: StreamAsk, { after, signal, ...to }: Connection): Promise<void> {
  const response = await fetch(`${url}/v1/${runId === null ? 'events' : `runs/${runId}/events`}`, {
    headers: { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream', ...(after === null ? {} : { 'last-event-id': after }) },
    signal,
  });
  if (response.status !== 200 || response.body === null) throw new Error(`The stream was answered ${response.status}.`);
  to.connected();
  const parser = createParser({
    onEvent: ({ event, id, data }) => {
      if (event === 'ready') to.stands(id ?? '');
      else if (event === 'reset') to.reset(data);
      else to.event(JSON.parse(data) as KosEvent);
    },
  });
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
}

async function readSocket({ url, apiKey, runId }: StreamAsk, { after, signal, ...to }: Connection): Promise<void> {
  const query = new URLSearchParams({ ...(runId === null ? {} : { run: runId }), ...(after === null ? {} : { after }) });
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws?${query.toString()}`, { headers: { authorization: `Bearer ${apiKey}` } });
  const hangUp = (): void => socket.terminate();
  signal.addEventListener('abort', hangUp, { once: true });
  socket.on('error', () => socket.terminate());
  socket.once('open', to.connected);
  socket.on('message', (message: Buffer) => {
    const { id, type, task_id: run, position, payload } = JSON.parse(message.toString()) as EventEnvelope;
    if (type === 'reset') to.reset(JSON.stringify(payload['reason']));
    else if (id !== null) to.event({ id, position: position ?? '', type, runId: run });
    else if (position !== null) to.stands(position);
  });
  await once(socket, 'close');
  signal.removeEventListener('abort', hangUp);
}
