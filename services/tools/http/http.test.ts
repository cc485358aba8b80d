import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import { executeTool } from '#services/tools/execute.ts';
import { retryAfterMs } from '#services/egress/answers.ts';
import { requestFailure } from '#services/tools/http/failures.ts';
import { httpTools } from '#services/tools/http/tools.ts';
import { createToolRegistry } from '#services/tools/registry.ts';
import { failureOf, toolContext } from '#services/tools/tool.conformance.ts';
import type { Tool, ToolContext, ToolFailure } from '#services/tools/tool.ts';

const registry = createToolRegistry(httpTools({ egress: { forbiddenPorts: () => [] } }));
const tool = (name: string): Tool => {
  const found = registry.get(name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  return found;
};

const servers: Server[] = [];
async function serve(handler: (request: IncomingMessage, response: ServerResponse, body: string) => void): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handler(request, response, Buffer.concat(chunks).toString()));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Answer {
  status: number;
  url: string;
  redirects: number;
  headers: Record<string, string>;
  json: unknown;
  text: string | null;
  base64: string | null;
  bytes: number;
  truncated: boolean;
}
const contextFor = (endpoint: string | string[], changes: Partial<ToolContext> = {}): ToolContext =>
  toolContext({ roots: [], egress: [endpoint].flat() }, changes);
const call = async (name: string, endpoint: string, input: Record<string, unknown> = {}, changes: Partial<ToolContext> = {}): Promise<Answer> =>
  (await executeTool(tool(name), { url: `http://${endpoint}/`, ...input }, contextFor(endpoint, changes))) as unknown as Answer;
const fail = (name: string, endpoint: string, input: Record<string, unknown> = {}, changes: Partial<ToolContext> = {}): Promise<ToolFailure> =>
  failureOf(tool(name), { url: `http://${endpoint}/`, ...input }, contextFor(endpoint, changes));

describe('answers', () => {
  it.each([
    ['application/json', '{"a":1}', { json: { a: 1 }, text: null, base64: null }],
    ['application/problem+json; charset=utf-8', '[]', { json: [], text: null, base64: null }],
    ['application/json', 'not json', { json: null, text: 'not json', base64: null }],
    ['text/plain', 'grüße', { json: null, text: 'grüße', base64: null }],
    ['image/png', 'png', { json: null, text: null, base64: 'cG5n' }],
    ['text/plain', '', { json: null, text: '', base64: null }],
  ])('%s %s', async (type, body, shown) => {
    const endpoint = await serve((_request, response) => response.writeHead(200, { 'content-type': type, 'set-cookie': 'session=1', 'x-a': 'b' }).end(body));
    const answer = await call('http.fetch', endpoint);
    expect(answer).toMatchObject({ status: 200, redirects: 0, truncated: false, bytes: Buffer.byteLength(body), ...shown });
    expect(answer.headers).toMatchObject({ 'x-a': 'b' });
    expect(answer.headers).not.toHaveProperty('set-cookie');
  });

  it('are given as told', async () => {
    const endpoint = await serve((_request, response) => response.end('{"a":1}'));
    expect(await call('http.fetch', endpoint, { as: 'json' })).toMatchObject({ json: { a: 1 } });
    expect(await call('http.fetch', endpoint, { as: 'base64' })).toMatchObject({ base64: 'eyJhIjoxfQ==' });
    expect(await call('http.fetch', endpoint, { method: 'HEAD' })).toMatchObject({ status: 200, bytes: 0 });
    const broken = await serve((_request, response) => response.end('nope'));
    expect(await fail('http.fetch', broken, { as: 'json' })).toMatchObject({ code: 'http_not_json' });
  });

  it('are bounded, also when they unpack to more than they seem', async () => {
    const endpoint = await serve((_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000))));
    expect(await fail('http.fetch', endpoint)).toMatchObject({ code: 'response_too_large', retryable: false, effect: 'none' });
    expect(await call('http.send', endpoint, { maxBytes: 10 })).toMatchObject({ truncated: true, bytes: 10 });
  });
});

describe('refusing answers', () => {
  it.each([
    [404, 'http_client_error', false, 'none'],
    [401, 'http_client_error', false, 'none'],
    [429, 'http_rate_limited', true, 'none'],
    [500, 'http_server_error', true, 'unknown'],
    [503, 'http_server_error', true, 'unknown'],
  ])('%i', async (status, code, retryable, sendEffect) => {
    const endpoint = await serve((_request, response) => response.writeHead(status, { 'retry-after': '7' }).end('why'));
    expect(await fail('http.fetch', endpoint)).toMatchObject({ code, retryable, effect: 'none', retryAfterMs: 7_000, extra: { status, bodyStart: 'why' } });
    expect(await fail('http.send', endpoint)).toMatchObject({ code, retryable, effect: sendEffect });
    expect(await call('http.fetch', endpoint, { acceptStatus: [status] })).toMatchObject({ status });
  });

  it('read Retry-After as seconds or a date, at most an hour', () => {
    const now = Date.parse('2026-05-20T10:00:00Z');
    expect(retryAfterMs('0', now)).toBe(0);
    expect(retryAfterMs('Wed, 20 May 2026 10:00:30 GMT', now)).toBe(30_000);
    expect(retryAfterMs('Wed, 20 May 2020 10:00:30 GMT', now)).toBe(0);
    expect(retryAfterMs('999999', now)).toBe(3_600_000);
    expect(retryAfterMs('soon', now)).toBeNull();
    expect(retryAfterMs(null, now)).toBeNull();
  });
});

describe('broken connections', () => {
  it('say that nothing happened when none stood', async () => {
    const endpoint = await serve(() => undefined);
    const [server] = servers.splice(0);
    await new Promise<void>((resolve) => server?.close(() => resolve()));
    for (const name of ['http.fetch', 'http.send'])
      expect(await fail(name, endpoint)).toMatchObject({ code: 'http_unreachable', retryable: true, effect: 'none' });
  });

  it('say that something may have happened once bytes were sent', async () => {
    const server = createSocketServer((socket) => socket.on('data', () => socket.destroy()).on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await fail('http.send', endpoint, { json: {} })).toMatchObject({ code: 'http_unreachable', effect: 'unknown' });
    expect(await fail('http.fetch', endpoint)).toMatchObject({ code: 'http_unreachable', effect: 'none' });
    server.close();
  });

  it('end when a server hangs, before or within the answer', async () => {
    const silent = await serve(() => undefined);
    expect(await fail('http.fetch', silent, { timeoutMs: 50 })).toMatchObject({ code: 'http_timeout', retryable: true, effect: 'none' });
    expect(await fail('http.send', silent, { timeoutMs: 50 })).toMatchObject({ code: 'http_timeout', effect: 'unknown' });
    const dripping = await serve((_request, response) => {
      const dripped = setInterval(() => response.write('.'), 10);
      response.on('close', () => clearInterval(dripped));
    });
    expect(await fail('http.fetch', dripping, { timeoutMs: 60 })).toMatchObject({ code: 'http_timeout' });
  });

  it('end when the step is stopped', async () => {
    const silent = await serve(() => undefined);
    expect(await fail('http.fetch', silent, {}, { signal: AbortSignal.timeout(30) })).toMatchObject({ code: 'tool_timeout' });
  });
});

describe('sending', () => {
  it('carries the body, its type and the effect key', async () => {
    const seen: { method: string | undefined; type: string | undefined; key: unknown; body: string }[] = [];
    const endpoint = await serve((request, response, body) => {
      seen.push({ method: request.method, type: request.headers['content-type'], key: request.headers['idempotency-key'], body });
      response.end();
    });
    await call('http.send', endpoint, { json: { a: 1 } }, { effectKey: 'run_1/pay[3]' });
    await call('http.send', endpoint, { method: 'PUT', text: 'ü' }, { effectKey: 'run_1/pay[3]', attempt: 2 });
    await call('http.send', endpoint, { method: 'DELETE', headers: { 'Idempotency-Key': 'mine' } });
    expect(seen).toEqual([
      { method: 'POST', type: 'application/json', key: 'run_1/pay[3]', body: '{"a":1}' },
      { method: 'PUT', type: 'text/plain; charset=utf-8', key: 'run_1/pay[3]', body: 'ü' },
      { method: 'DELETE', type: undefined, key: 'mine', body: '' },
    ]);
  });
});

describe('a request that was taken and sent on', () => {
  const sendingOn = (location: string): Promise<string> => serve((_request, response) => response.writeHead(303, { location }).end());

  it.each([429, 404, 500])('may have had its effect, whatever comes then (%i)', async (status) => {
    const second = await serve((_request, response) => response.writeHead(status).end());
    const first = await sendingOn(`http://${second}/`);
    expect(await failureOf(tool('http.send'), { url: `http://${first}/` }, contextFor([first, second]))).toMatchObject({ effect: 'unknown' });
    expect(await failureOf(tool('http.fetch'), { url: `http://${first}/` }, contextFor([first, second]))).toMatchObject({ effect: 'none' });
  });

  it('may have had its effect when the next certificate is not trusted', async () => {
    const trouble = Object.assign(new Error('x'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const sent = { method: 'POST', place: 'https://example.com/', connected: true, redirected: true };
    expect(requestFailure(trouble, sent, String)).toMatchObject({ code: 'http_certificate', effect: 'unknown' });
    expect(requestFailure(trouble, { ...sent, connected: false, redirected: false }, String)).toMatchObject({ effect: 'none' });
  });
});

describe('secrets', () => {
  const value = 's3cr3t/+"ä=';
  const opened: string[] = [];
  const openSecret = async (handle: string, host: string): Promise<string> => {
    opened.push(`${handle} for ${host}`);
    if (!host.startsWith('127.0.0.1:')) throw new KosError({ code: 'secret_refused', message: `${handle} is not bound to ${host}`, fix: 'kai secret set' });
    return value;
  };
  const ascii = async (): Promise<string> => 'tok-en/12+3=';

  it('are opened in headers for the host, and scrubbed from whatever comes back', async () => {
    opened.length = 0;
    const spellings = (secret: string): string[] => [
      secret,
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64'),
      Buffer.from(secret).toString('hex'),
      JSON.stringify(secret),
    ];
    let received: string | undefined;
    const endpoint = await serve((request, response) => {
      received = request.headers.authorization;
      const secret = received?.slice('Bearer '.length) ?? '';
      response.writeHead(200, { 'content-type': 'application/json', 'x-echo': secret });
      response.end(JSON.stringify({ echoed: spellings(secret), [secret]: 1, escaped: '@' }).replace('@', `\\u0074${secret.slice(1)}`));
    });
    const answer = await call('http.fetch', endpoint, { headers: { authorization: 'Bearer secret://token' } }, { openSecret: ascii });
    expect(received).toBe('Bearer tok-en/12+3=');
    const shown = JSON.stringify(answer);
    for (const spelling of spellings('tok-en/12+3=')) expect(shown).not.toContain(spelling);
    expect(answer.headers['x-echo']).toBe('secret://token');
    expect((answer.json as { escaped: string }).escaped).toBe('secret://token');
  });

  it('are scrubbed from binary answers and from failures', async () => {
    const binary = await serve((request, response) =>
      response
        .writeHead(200, { 'content-type': 'application/octet-stream' })
        .end(Buffer.concat([Buffer.from([0xff, 0]), Buffer.from(request.headers['x-key'] as string)])),
    );
    const answer = await call('http.fetch', binary, { headers: { 'x-key': 'secret://token' } }, { openSecret: ascii });
    expect(Buffer.from(answer.base64 ?? '', 'base64').toString('latin1')).toBe('\xff\0secret://token');
    const failing = await serve((request, response) =>
      response.writeHead(400, `bad ${String(request.headers['x-key'])}`).end(`no ${String(request.headers['x-key'])}`),
    );
    const failure = await fail('http.fetch', failing, { headers: { 'x-key': 'secret://token' } }, { openSecret: ascii });
    expect(failure.message).toContain('bad secret://token');
    expect(JSON.stringify([failure.message, failure.extra, String(failure.cause)])).not.toContain('tok-en');
  });

  it('show no beginning of theirs where the answer is cut', async () => {
    const secret = 'QWXZJKVYQ/XWZKJV';
    const echo = await serve((request, response) => {
      const value = String(request.headers['x-key']);
      const written = { raw: value, hex: Buffer.from(value).toString('hex').toUpperCase(), basic: Buffer.from(`user:${value}`).toString('base64') };
      response.writeHead(request.url === '/bad' ? 400 : 200, { 'content-type': 'text/plain', [`x-${value.toLowerCase().replace('/', '-')}`]: 'a' });
      response.end(request.url === '/bad' ? `${'.'.repeat(2_040)}${value}` : `....${written[request.url?.slice(1) as keyof typeof written]}....`);
    });
    const sending = (path: string, maxBytes: number) => ({ url: `http://${echo}/${path}`, headers: { 'x-key': 'secret://token' }, maxBytes });
    const openSecret16 = { openSecret: async () => secret };
    for (let maxBytes = 5; maxBytes < 20; maxBytes += 1) {
      const cut = { status: 200, truncated: true, bytes: maxBytes, text: '....' };
      expect(await call('http.send', echo, sending('raw', maxBytes), openSecret16)).toMatchObject(cut);
      expect(await call('http.send', echo, sending('hex', maxBytes), openSecret16)).toMatchObject(cut);
    }
    expect(await call('http.send', echo, sending('raw', 20), openSecret16)).toMatchObject({ text: '....secret://token', truncated: true });
    expect(await call('http.send', echo, sending('basic', 24), openSecret16)).toMatchObject({ text: '....dXNlcj', truncated: true });
    const failure = await fail('http.send', echo, { ...sending('bad', 100) }, openSecret16);
    expect(JSON.stringify(failure.extra)).not.toContain('QWXZ');
  });

  it('are known in numbers of JSON, in names of headers, and in addresses that are refused', async () => {
    const digits = { openSecret: async () => '12345678901234567890' };
    const headers = { 'x-key': 'secret://token' };
    const numbers = await serve((request, response) =>
      response
        .writeHead(200, { 'content-type': 'application/json', [`x-${String(request.headers['x-key'])}`]: 'a' })
        .end(`{"a":${String(request.headers['x-key'])},"b":7}`),
    );
    const answer = await call('http.fetch', numbers, { headers }, digits);
    expect(answer.json).toEqual({ a: 'secret://token', b: 7 });
    expect(answer.headers).toHaveProperty('x-secret://token');
    const leading = await serve((request, response) => response.writeHead(302, { location: `https://${String(request.headers['x-key'])}.example.com/` }).end());
    const failure = await fail('http.fetch', leading, { headers }, { openSecret: async () => 'QWXZJKVYQXWZKJV' });
    expect(failure.code).toBe('egress_refused');
    expect(`${failure.message} ${failure.fix}`).not.toMatch(/qwxz/i);
  });

  it('never leave their origin by a redirect', async () => {
    let leaked: unknown = 'not reached';
    const second = await serve((request, response) => {
      leaked = request.headers['x-key'];
      response.end();
    });
    const first = await serve((_request, response) => response.writeHead(307, { location: `http://${second}/` }).end());
    await executeTool(
      tool('http.fetch'),
      { url: `http://${first}/`, headers: { 'x-key': 'secret://token' } },
      contextFor([first, second], { openSecret: ascii }),
    );
    expect(leaked).toBeUndefined();
  });

  it('are not asked for when the host is not allowed, nor sent when they are not bound to it', async () => {
    opened.length = 0;
    const input = { url: 'https://example.com/', headers: { authorization: 'secret://token' } };
    expect(await failureOf(tool('http.send'), input, contextFor([], { openSecret }))).toMatchObject({ code: 'egress_refused' });
    expect(opened).toEqual([]);
    expect(await failureOf(tool('http.send'), input, contextFor('example.com:443', { openSecret }))).toMatchObject({
      code: 'secret_refused',
      effect: 'none',
      fix: 'kai secret set',
    });
    expect(opened).toEqual(['secret://token for example.com:443']);
    await failureOf(tool('http.fetch'), { ...input, url: 'http://[2001:DB8::1]:8080/' }, contextFor('[2001:db8::1]:8080', { openSecret }));
    expect(opened.at(-1)).toBe('secret://token for [2001:db8::1]:8080');
  });

  it('with a line break are refused: they would begin a header of their own', async () => {
    let reached = false;
    const endpoint = await serve((_request, response) => {
      reached = true;
      response.end();
    });
    expect(await fail('http.fetch', endpoint, { headers: { a: 'secret://token' } }, { openSecret: async () => 'a\r\nb: c' })).toMatchObject({
      code: 'secret_unusable',
    });
    expect(reached).toBe(false);
  });

  it('that no header can carry fail without being shown', async () => {
    const endpoint = await serve((_request, response) => response.end());
    const failure = await fail('http.fetch', endpoint, { headers: { a: 'secret://token' } }, { openSecret: async () => 'snow ☃ man' });
    expect(failure).toMatchObject({ code: 'secret_unusable', effect: 'none', retryable: false });
    expect(`${failure.message} ${String(failure.cause)}`).not.toContain('snow');
  });
});
