import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The world outside kOS: counts what reaches it, and answers after a while, so that there is a moment in which a call is made and not yet recorded. */
export interface Sink {
  url: string;
  /** As `kai settings add egress` takes it. */
  authority: string;
  /** Calls by method and path, of the paths that begin so. */
  calls: (prefix: string) => Map<string, number>;
  /** Idempotency keys that came with more than one path, or paths that came with more than one key: never right. */
  confusedKeys: () => string[];
  close: () => Promise<void>;
}

const answerAfterMs = { least: 20, most: 120 };

export async function openSink(): Promise<Sink> {
  const counts = new Map<string, number>();
  const pathOfKey = new Map<string, string>();
  const confused: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    counts.set(path, (counts.get(path) ?? 0) + 1);
    const key = request.headers['idempotency-key'];
    if (typeof key === 'string') {
      const known = pathOfKey.get(key);
      if (known !== undefined && known !== path) confused.push(`${key}: ${known} and ${path}`);
      pathOfKey.set(key, path);
    }
    request.resume();
    void sleep(answerAfterMs.least + Math.random() * (answerAfterMs.most - answerAfterMs.least)).then(() => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"ok":true}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${authority}`,
    authority,
    calls: (prefix) => new Map([...counts].filter(([path]) => path.startsWith(prefix))),
    confusedKeys: () => [...confused],
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
