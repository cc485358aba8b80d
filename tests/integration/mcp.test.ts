import { Client, ClientCredentialsProvider, StreamableHTTPClientTransport, type VersionNegotiationMode } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { usualRates } from '#core/policy/rates.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

/** The protocol's own client, over HTTP, against the API with an engine that does the work. */

const greet = `
plan: greet
description: Greets somebody.
expose: [mcp]
input: { type: object, required: [name], properties: { name: { type: string } }, additionalProperties: false }
steps:
  only: { transform: "Hello \${input.name}" }
output: { text: "\${steps.only.output}" }
`;
const hidden = 'plan: hidden\nsteps:\n  only: { transform: 7 }\noutput: "${steps.only.output}"\n';
const publish = `
plan: publish
expose: [mcp]
steps:
  ask: { approval: { for: [post] } }
  post: { artifact: { name: note.txt, content: "approved text" } }
output: "\${steps.post.output.name}"
`;

let engine: TestEngine;
let api: TestApi;
const clients: Client[] = [];

beforeAll(async () => {
  engine = await makeTestEngine();
  api = await makeTestApi({ engine });
  for (const source of [greet, hidden, publish]) await api.call('POST', '/v1/plans', { body: { source } });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(async () => {
  await api.close();
  await engine.close();
});

const endpoint = (): URL => new URL('/mcp', api.url);

async function connect(apiKey: string, mode: VersionNegotiationMode = 'auto'): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(endpoint(), { requestInit: { headers: { authorization: `Bearer ${apiKey}` } } }));
  clients.push(client);
  return client;
}

interface Outcome {
  isError: boolean;
  body: Record<string, unknown>;
}

async function callTool(client: Client, name: string, given: Record<string, unknown> = {}): Promise<Outcome> {
  const result = await client.callTool({ name, arguments: given });
  const [first] = result.content;
  return { isError: result.isError === true, body: JSON.parse(first?.type === 'text' ? first.text : '{}') as Record<string, unknown> };
}

const namesOf = async (client: Client): Promise<string[]> => (await client.listTools()).tools.map(({ name }) => name);

/** Waits for a run until it asks somebody, or has ended. */
async function untilAsked(client: Client, runId: unknown): Promise<Record<string, unknown>> {
  for (;;) {
    const { body } = await callTool(client, 'run_get', { runId });
    if (body['finished'] === true || (body['approvals'] as unknown[]).length > 0) return body;
  }
}

const operator = (scopes: string[] | null = null): Promise<string> => api.makeKey({ roles: ['operator', 'approver'], scopes }).then(({ apiKey }) => apiKey);

describe('the MCP server', () => {
  it.each([
    ['2026-07-28', 'auto'],
    ['2025-11-25', 'legacy'],
  ] as const)('in revision %s: a plan is a tool with its schema, and calling it runs the plan', async (revision, mode) => {
    const client = await connect(await operator(), mode);
    expect(client.getNegotiatedProtocolVersion()).toBe(revision);
    expect(client.getServerVersion()).toMatchObject({ name: 'kos' });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['run_start', 'run_wait', 'run_get', 'greet', 'publish']);
    const tool = tools.find(({ name }) => name === 'greet');
    expect(tool?.description).toContain('Greets somebody.');
    expect(tool?.inputSchema).toMatchObject({ type: 'object', required: ['name'], properties: { name: { type: 'string' } }, additionalProperties: false });
    const { isError, body } = await callTool(client, 'greet', { name: 'Ada' });
    expect({ isError, body }).toMatchObject({ isError: false, body: { plan: 'greet@1', status: 'succeeded', finished: true, output: { text: 'Hello Ada' } } });
    expect((await api.call('GET', `/v1/runs/${String(body['id'])}`)).body).toMatchObject({ origin: { kind: 'mcp' }, input: { name: 'Ada' } });
  });

  it('starts any plan, waits for its run and reads it; a repeat with the same key is the same run', async () => {
    const client = await connect(await operator());
    const start = { plan: 'hidden', idempotencyKey: 'once' };
    const [first, second] = await Promise.all([callTool(client, 'run_start', start), callTool(client, 'run_start', start)]);
    expect([first.isError, second.body['id']]).toEqual([false, first.body['id']]);
    const waited = await callTool(client, 'run_wait', { runId: first.body['id'] });
    expect(waited.body).toMatchObject({ status: 'succeeded', finished: true, output: 7 });
    expect((await callTool(client, 'run_start', { plan: 'greet', input: { name: 'Ada' }, idempotencyKey: 'once' })).body).toMatchObject({
      code: 'idempotency_key_reused',
    });
    const greeted = await Promise.all([1, 2].map(() => callTool(client, 'greet', { name: 'Bob', idempotencyKey: 'greeting' })));
    expect(new Set(greeted.map(({ body }) => body['id'])).size).toBe(1);
    expect((await callTool(client, 'greet', { name: 'Bob' })).body['id']).not.toBe(greeted[0]?.body['id']);
  });

  it('says what is wrong with a call in words that a model can act on', async () => {
    const client = await connect(await operator());
    expect(await callTool(client, 'greet', { name: 5 })).toMatchObject({
      isError: true,
      body: { code: 'input_invalid', errors: [{ pointer: '/input/name' }] },
    });
    expect(await callTool(client, 'run_wait', { runId: 'run_1', seconds: 31 })).toMatchObject({ isError: true, body: { code: 'request_invalid' } });
    expect((await callTool(client, 'run_start', { plan: 'nothing-here' })).body).toMatchObject({ code: 'plan_not_found', fix: expect.stringContaining('kai') });
    await expect(client.callTool({ name: 'hidden', arguments: {} })).rejects.toThrow(/no tool "hidden"/);
  });

  it('lets a key decide approvals that was granted it by name, and no other', async () => {
    const plain = await connect(await operator());
    const started = await callTool(plain, 'run_start', { plan: 'publish' });
    const { approvals } = await untilAsked(plain, started.body['id']);
    const [approval] = approvals as { id: string; argumentsDigest: string; arguments: object[] }[];
    expect(approval?.arguments).toMatchObject([{ stepPath: 'post', input: { content: 'approved text' } }]);
    const decision = { approvalId: approval?.id, decision: 'approve', argumentsDigest: approval?.argumentsDigest };
    expect(await namesOf(plain)).not.toContain('approval_decide');
    expect(await callTool(plain, 'approval_decide', decision)).toMatchObject({ isError: true, body: { code: 'permission_missing', obstacle: 'by_name' } });

    const named = await connect(await operator(['runs:read', 'approvals:read', 'approvals:decide']));
    expect(await namesOf(named)).toEqual(['run_wait', 'run_get', 'approval_decide']);
    const other = { ...decision, argumentsDigest: '0'.repeat(64) };
    expect((await callTool(named, 'approval_decide', other)).body).toMatchObject({ code: 'arguments_changed' });
    expect(await callTool(named, 'approval_decide', decision)).toMatchObject({ isError: false, body: { status: 'approved' } });
    expect((await callTool(named, 'run_wait', { runId: started.body['id'] })).body).toMatchObject({ status: 'succeeded', output: 'note.txt' });
    expect((await callTool(named, 'greet', { name: 'Ada' })).body).toMatchObject({ code: 'permission_missing', obstacle: 'scope' });
  });

  it('shows another workspace nothing', async () => {
    const mine = await connect(await operator());
    const { body } = await callTool(mine, 'run_start', { plan: 'hidden', waitSeconds: 30 });
    const { apiKey } = await api.makeKey({ roles: ['owner'], workspaceId: await api.makeWorkspace() });
    const stranger = await connect(apiKey);
    expect(await namesOf(stranger)).toEqual(['run_start', 'run_wait', 'run_get']);
    expect((await callTool(stranger, 'run_get', { runId: body['id'] })).body).toMatchObject({ code: 'run_not_found' });
    await expect(stranger.callTool({ name: 'greet', arguments: { name: 'Eve' } })).rejects.toThrow(/no tool "greet"/);
  });

  it('leads who has no credential to where it reads how to get one', async () => {
    const refused = await api.call('POST', '/mcp', { apiKey: null, body: {} });
    const url = 'https://kos.example/.well-known/oauth-protected-resource/mcp';
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, `Bearer realm="kOS", resource_metadata="${url}"`]);
    const metadata = await api.call('GET', new URL(url).pathname, { apiKey: null });
    expect(metadata.body).toMatchObject({ resource: 'https://kos.example/mcp', authorization_servers: ['https://kos.example'] });
    const whole = await api.call('GET', '/.well-known/oauth-protected-resource', { apiKey: null });
    expect(whole.body['resource']).toBe('https://kos.example');
  });

  it('lets the client exchange its key for an access token by itself', async () => {
    const { apiKey, credentialId } = await api.makeKey({ roles: ['operator'], scopes: ['runs:read', 'runs:start'] });
    const authProvider = new ClientCredentialsProvider({ clientId: credentialId, clientSecret: apiKey, expectedIssuer: 'https://kos.example' });
    const asked: string[] = [];
    const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
    // The public address is behind the one that the test can reach.
    const fetchHere = (url: string | URL, init?: RequestInit): Promise<Response> => {
      asked.push(new URL(url).pathname);
      return fetch(String(url).replace('https://kos.example', api.url), init);
    };
    await client.connect(new StreamableHTTPClientTransport(new URL('https://kos.example/mcp'), { authProvider, fetch: fetchHere }));
    clients.push(client);
    expect(await namesOf(client)).toEqual(['run_start', 'run_wait', 'run_get', 'greet', 'publish']);
    expect(asked).toEqual(expect.arrayContaining(['/.well-known/oauth-protected-resource/mcp', '/.well-known/oauth-authorization-server', '/v1/oauth/token']));
  });

  it('is refused to pages of other sites, and to streams that would only listen', async () => {
    const body = { jsonrpc: '2.0', id: 1, method: 'ping' };
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1'])
      expect((await api.call('POST', '/mcp', { body, headers: { origin } })).body.code).toBe('origin_refused');
    expect((await api.call('POST', '/mcp', { body, headers: { origin: 'https://kos.example', accept: 'application/json, text/event-stream' } })).status).toBe(
      200,
    );
    expect((await api.call('GET', '/mcp', { headers: { accept: 'text/event-stream' } })).status).toBe(405);
    expect((await api.call('POST', '/mcp', { text: 'x'.repeat(8_000_001), headers: { 'content-type': 'application/json' } })).status).toBe(413);
    expect((await api.call('POST', '/mcp', { body, headers: { 'content-type': 'text/plain' } })).status).toBe(415);
  });

  it('counts what starts something as a change, and what reads as a read', async () => {
    const few = await makeTestApi({ engine, rates: { ...usualRates, change: [{ name: 'change', limit: 1, windowSeconds: 3_600 }] } });
    try {
      const { apiKey } = await few.makeKey({ roles: ['operator'] });
      const ask = (name: string, given: object): Promise<Answer> =>
        few.call('POST', '/mcp', {
          apiKey,
          body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: given } },
          headers: { accept: 'application/json, text/event-stream' },
        });
      const start = { plan: 'hidden' };
      expect((await ask('run_start', start)).text).toContain('queued');
      expect((await ask('run_start', start)).text).toContain('rate_limited');
      expect((await ask('run_get', { runId: 'run_1' })).text).toContain('request_invalid');
    } finally {
      await few.close();
    }
  });
});
