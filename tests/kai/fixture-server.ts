import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { KosEvent, ModelDelta } from '#schemas/event.ts';

/** What a request asked, as handlers see it and tests look at afterwards. */
export interface ReceivedRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: string;
}

export type Reply =
  | { status?: number; json: unknown; headers?: Record<string, string> }
  | { status?: number; bytes: Buffer | string; headers?: Record<string, string> }
  /** Server-sent events; the connection stays open, unless it is to break off after them. */
  | { events: (KosEvent | ModelDelta)[]; then: 'stay' | 'break' }
  /** The connection breaks off without an answer. */
  | { broken: true };

export type Handler = (request: ReceivedRequest) => Reply | Promise<Reply>;

export interface FixtureServer {
  url: string;
  apiKey: string;
  received: ReceivedRequest[];
  /** Another answer from now on. */
  on(route: string, handler: Handler): void;
  /** Sends to every open stream. */
  emit(event: KosEvent | ModelDelta): void;
  /** Closes every connection and stops listening; `start` again on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Stops for good; throws when there was a request that the test had no answer to. */
  close(): Promise<void>;
}

/** Speaks the API's shapes over real HTTP, route by route (`GET /v1/runs/{id}`) as the test says; anything else is a 500 that names itself. `open`: it lets in who shows no key. */
export async function startFixtureServer(routes: Record<string, Handler>, options: { open?: true } = {}): Promise<FixtureServer> {
  const handlers = new Map(Object.entries(routes));
  const received: ReceivedRequest[] = [];
  const unexpected: string[] = [];
  const streams = new Set<ServerResponse>();
  const apiKey = 'kos_key_of_the_test';

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(incoming.url ?? '/', 'http://fixture');
    const request = { method: incoming.method ?? '', path: url.pathname, query: url.searchParams, headers: incoming.headers, body: await text(incoming) };
    received.push(request);
    if (options.open !== true && request.headers.authorization !== `Bearer ${apiKey}`) {
      send(
        response,
        { status: 401, json: problem({ status: 401, code: 'credential_rejected', detail: 'The key is not known.', fix: 'Restart kOS.' }) },
        streams,
      );
      return;
    }
    const handler = [...handlers].find(([route]) => matches(route, request))?.[1];
    if (handler === undefined) {
      unexpected.push(`${request.method} ${request.path}`);
      send(
        response,
        { status: 500, json: problem({ status: 500, code: 'fixture_unprepared', detail: `The test has no answer to ${request.method} ${request.path}.` }) },
        streams,
      );
      return;
    }
    send(response, await handler(request), streams);
  };

  let server: Server;
  let port = 0;
  const start = async (): Promise<void> => {
    server = createServer((incoming, response) => void serve(incoming, response));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  };
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      streams.clear();
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    apiKey,
    received,
    on: (route, handler) => void handlers.set(route, handler),
    emit: (event) => {
      for (const stream of streams) stream.write(formatEvent(event));
    },
    stop,
    start,
    close: async () => {
      await stop();
      if (unexpected.length > 0) throw new Error(`The test had no answer to ${unexpected.join(', ')}.`);
    },
  };
}

const matches = (route: string, request: ReceivedRequest): boolean =>
  new RegExp(`^${route.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`).test(`${request.method} ${request.path}`);

function send(response: ServerResponse, reply: Reply, streams: Set<ServerResponse>): void {
  if ('broken' in reply) {
    response.destroy();
  } else if ('events' in reply) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`retry: 1000\n\n${reply.events.map(formatEvent).join('')}`);
    if (reply.then === 'stay') streams.add(response.on('close', () => streams.delete(response)));
    else setTimeout(() => response.destroy(), 50);
  } else if ('bytes' in reply) {
    response.writeHead(reply.status ?? 200, reply.headers).end(reply.bytes);
  } else {
    const status = reply.status ?? 200;
    response
      .writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', ...reply.headers })
      .end(JSON.stringify(reply.json));
  }
}

const formatEvent = (event: KosEvent | ModelDelta): string =>
  `${'position' in event ? `id: ${event.position}\n` : ''}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

export function problem(facts: { status: number; code: string; detail: string; fix?: string; errors?: object[]; extra?: object }): object {
  const { status, code, detail, fix = null, errors = [], extra = {} } = facts;
  return { ...extra, type: `urn:kos:problem:${code}`, title: 'Error', status, detail, code, traceId: 'trace', retryable: false, fix, errors };
}
