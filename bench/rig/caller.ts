import { Pool } from 'undici';

export interface HttpRequest {
  method: 'GET' | 'POST';
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** A client that keeps its connections, as programs do. */
export interface Caller {
  /** To the end of the answer; its bytes as they came, compressed where the server does so. Throws for any status but a good one. */
  send(request: HttpRequest): Promise<Buffer>;
  /** What it answers. */
  ask<Answer>(request: HttpRequest): Promise<Answer>;
  close(): Promise<void>;
}

/** More than are ever open at once: no request waits for a connection. */
const connections = 256;

/** `headers` go with every request. */
export function makeCaller(url: string, headers: Record<string, string>): Caller {
  const pool = new Pool(new URL(url).origin, { connections, pipelining: 1 });
  const send = async ({ method, path, body, ...request }: HttpRequest, encodings: string): Promise<Buffer> => {
    const answer = await pool.request({
      method,
      path,
      headers: { 'accept-encoding': encodings, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers, ...request.headers },
      body: body ?? null,
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    if (answer.statusCode >= 300) throw new Error(`${method} ${path} was answered with ${answer.statusCode}: ${bytes.toString('utf8').slice(0, 500)}`);
    return bytes;
  };
  return {
    // What fetch and browsers accept.
    send: (request) => send(request, 'gzip, deflate, br'),
    ask: async <Answer>(request: HttpRequest) => JSON.parse((await send(request, 'identity')).toString('utf8')) as Answer,
    close: () => pool.close(),
  };
}
