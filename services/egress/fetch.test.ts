import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createGuardedFetch, type GuardedFetch } from '#services/egress/fetch.ts';
import { EgressRefused } from '#services/egress/guard.ts';

const servers: Server[] = [];
const fetches: GuardedFetch[] = [];

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ origin: string; endpoint: string }> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { endpoint, origin: `http://${endpoint}` };
}

function fetchWith(...allow: string[]): GuardedFetch {
  const guarded = createGuardedFetch({ allow, forbiddenPorts: () => [] });
  fetches.push(guarded);
  return guarded;
}

afterEach(async () => {
  await Promise.all(fetches.splice(0).map((guarded) => guarded.close()));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const echo = (request: IncomingMessage, response: ServerResponse): void => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() }));
  });
};

interface Echoed {
  method: string;
  headers: Record<string, string>;
  body: string;
}

describe('guarded fetch', () => {
  it('sends method, headers and body like fetch', async () => {
    const { origin, endpoint } = await serve(echo);
    const answer = await fetchWith(endpoint)(`${origin}/a`, { method: 'POST', headers: { 'x-one': '1' }, body: '{"a":1}' });
    expect((await answer.json()) as Echoed).toMatchObject({ method: 'POST', body: '{"a":1}', headers: { 'x-one': '1' } });
  });

  it('checks every redirect: the second host is not reached unless it is allowed', async () => {
    let reached = 0;
    const inside = await serve((_request, response) => {
      reached += 1;
      response.end();
    });
    const outside = await serve((_request, response) => response.writeHead(302, { location: inside.origin }).end());
    await expect(fetchWith(outside.endpoint)(outside.origin)).rejects.toBeInstanceOf(EgressRefused);
    expect(reached).toBe(0);
  });

  it.each(['http://169.254.169.254/latest/meta-data/', 'file:///etc/passwd', 'http://2130706433:1/', 'http://[::ffff:127.0.0.1]:1/', 'gopher://127.0.0.1:1/'])(
    'refuses a redirect to %s',
    async (location) => {
      const { origin, endpoint } = await serve((_request, response) => response.writeHead(307, { location }).end());
      await expect(fetchWith(endpoint)(origin)).rejects.toBeInstanceOf(EgressRefused);
    },
  );

  it('keeps credentials on their origin', async () => {
    const second = await serve(echo);
    const first = await serve((request, response) => response.writeHead(307, { location: request.url === '/out' ? `${second.origin}/x` : '/out' }).end());
    const answer = await fetchWith(first.endpoint, second.endpoint)(first.origin, {
      headers: { authorization: 'Bearer t', cookie: 'c=1', 'x-api-key': 'k', 'x-kept': 'yes' },
    });
    const { headers } = (await answer.json()) as Echoed;
    expect(headers).toMatchObject({ 'x-kept': 'yes' });
    for (const name of ['authorization', 'cookie', 'x-api-key']) expect(headers).not.toHaveProperty(name);
  });

  it.each([
    [303, 'GET', ''],
    [302, 'GET', ''],
    [307, 'POST', 'body'],
    [308, 'POST', 'body'],
  ])('turns a POST redirected by %i into %s', async (status, method, body) => {
    const { origin, endpoint } = await serve((request, response) => {
      if (request.url === '/end') echo(request, response);
      else response.writeHead(status, { location: '/end' }).end();
    });
    expect((await (await fetchWith(endpoint)(origin, { method: 'POST', body: 'body' })).json()) as Echoed).toMatchObject({ method, body });
  });

  it('gives up after 5 redirects', async () => {
    let hops = 0;
    const { origin, endpoint } = await serve((_request, response) => {
      hops += 1;
      response.writeHead(302, { location: `/${hops}` }).end();
    });
    await expect(fetchWith(endpoint)(origin)).rejects.toMatchObject({ code: 'too_many_redirects' });
    expect(hops).toBe(6);
  });
});
