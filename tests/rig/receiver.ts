import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ReceivedPost {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** How a path answers: a status, or by hand. */
export type ReceiverAnswer = number | ((response: ServerResponse) => void);

/** A program outside that is posted to, on a free port. */
export async function startReceiver() {
  const posts: ReceivedPost[] = [];
  const answers = new Map<string, ReceiverAnswer[]>();
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const path = request.url ?? '';
      posts.push({ path, headers: request.headers, body });
      const answer = answers.get(path)?.shift() ?? 204;
      if (typeof answer === 'number') response.writeHead(answer).end();
      else answer(response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const to = (path: string): ReceivedPost[] => posts.filter((post) => post.path === path);
  return {
    host,
    url: (path: string): string => `http://${host}${path}`,
    to,
    /** The next posts to `path` are answered so, in this order; those after them with 204. */
    answer: (path: string, ...next: ReceiverAnswer[]): void => void answers.set(path, [...(answers.get(path) ?? []), ...next]),
    until: async (path: string, count: number, timeoutMs = 60_000): Promise<ReceivedPost[]> => {
      const deadline = performance.now() + timeoutMs;
      while (to(path).length < count) {
        if (performance.now() > deadline) throw new Error(`${to(path).length} posts to ${path} after ${timeoutMs} ms, not ${count}`);
        await sleep(20);
      }
      return to(path);
    },
    close: (): void => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export type Receiver = Awaited<ReturnType<typeof startReceiver>>;
