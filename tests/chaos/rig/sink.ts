import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** One request that reached the sink. */
export interface Arrival {
  path: string;
  /** Its idempotency key; null: it came without one, and its path is what it is known by. */
  key: string | null;
  /** It was answered with 503, and has done nothing. */
  refused: boolean;
}

/** The world outside kOS: counts what reaches it, and answers after a while, so that there is a moment in which a call is made and not yet recorded. */
export interface Sink {
  url: string;
  /** As `kai settings add egress` takes it. */
  authority: string;
  /** Calls by method and path, of the paths that begin so. */
  calls: (prefix: string) => Map<string, number>;
  /** What reached it below that path, in this order. */
  arrivals: (prefix: string) => Arrival[];
  /** The path with which that idempotency key came; null: it never did. */
  pathOf: (key: string) => string | null;
  /** Idempotency keys that came with more than one path, or paths that came with more than one key: never right. */
  confusedKeys: () => string[];
  close: () => Promise<void>;
}

/** Of runs that are killed all the time: longer, so that many a kill falls into a call. */
export const slowPrefix = '/long/';
const answerAfterMs = { least: 20, most: 120 };
const slowAnswerAfterMs = { least: 100, most: 900 };
/** `?refusals=2`: the first two requests of that path are. */
const refusals = /\?refusals=(\d+)$/;

export async function openSink(): Promise<Sink> {
  const counts = new Map<string, number>();
  const pathOfKey = new Map<string, string>();
  const confused: string[] = [];
  const arrived: Arrival[] = [];
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    const path = url.replace(refusals, '');
    const refused = (counts.get(path) ?? 0) < Number(refusals.exec(url)?.[1] ?? 0);
    counts.set(path, (counts.get(path) ?? 0) + 1);
    const key = request.headers['idempotency-key'];
    arrived.push({ path, key: typeof key === 'string' ? key : null, refused });
    if (typeof key === 'string') {
      const known = pathOfKey.get(key);
      if (known !== undefined && known !== path) confused.push(`${key}: ${known} and ${path}`);
      pathOfKey.set(key, path);
    }
    request.resume();
    const { least, most } = path.startsWith(slowPrefix) ? slowAnswerAfterMs : answerAfterMs;
    void sleep(least + Math.random() * (most - least)).then(() => {
      response.writeHead(refused ? 503 : 200, { 'content-type': 'application/json' });
      response.end(`{"ok":${!refused}}`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${authority}`,
    authority,
    calls: (prefix) => new Map([...counts].filter(([path]) => path.startsWith(prefix))),
    arrivals: (prefix) => arrived.filter(({ path }) => path.startsWith(prefix)),
    pathOf: (key) => pathOfKey.get(key) ?? null,
    confusedKeys: () => [...confused],
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
