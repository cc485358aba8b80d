import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import { assertRoutesGuarded, defineRoute, empty, type Route } from './route.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

describe('every route', () => {
  it('stops the start when it is neither guarded nor on the public list', () => {
    const route = (path: string, access: Route['access']) =>
      defineRoute({ method: 'get', path, summary: '', access, responses: {}, handler: async () => empty() });
    expect(() => assertRoutesGuarded([route('/v1/open', { public: true })])).toThrow('GET /v1/open must either name a permission or be on the public list');
    expect(() => assertRoutesGuarded([route('/healthz', { permission: 'runs:read' })])).toThrow('/healthz must either');
    expect(() => assertRoutesGuarded([route('/v1/x', {} as Route['access'])])).toThrow('/v1/x must either');
    expect(() => assertRoutesGuarded([route('/v1/x', { permission: 'runs:read' }), route('/v1/x', { permission: 'runs:read' })])).toThrow('defined twice');
  });

  it('stands in the description, with its permission and its schemas', async () => {
    const { body } = await api.call('GET', '/v1/openapi.json');
    expect(body['openapi']).toBe('3.1.0');
    for (const route of api.routes) {
      const described = body.paths[route.path]![route.method]!;
      expect((described as { 'x-permission'?: string })['x-permission'], route.path).toBe('public' in route.access ? undefined : route.access.permission);
      expect(Object.keys(described.responses).length).toBeGreaterThan(0);
    }
    const ids = Object.values(body.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
    expect(new Set(ids).size).toBe(ids.length);
    expect(body.paths['/v1/runs']!['post']!.requestBody.content['application/json']!.schema.properties['plan']!.type).toBe('string');
  });
});

describe('keys', () => {
  it('that are unknown, mistyped, revoked, expired, or of a disabled member are refused', async () => {
    const revoked = await api.makeKey({ roles: ['owner'] });
    await api.rig.system.sql`update kos.credentials set revoked_at = now() where id = ${revoked.credentialId}`;
    const expired = await api.makeKey({ roles: ['owner'], expiresAt: new Date(Date.now() - 1_000) });
    const disabled = await api.makeKey({ roles: ['owner'] });
    await api.rig.system.sql`update kos.memberships set disabled = true where principal_id = ${disabled.principalId}`;
    for (const apiKey of [revoked.apiKey, expired.apiKey, disabled.apiKey, `${api.apiKey}x`, api.apiKey.slice(0, -1), 'kos_', 'x'.repeat(600)]) {
      const answer = await api.call('GET', '/v1/me', { apiKey });
      expect([answer.status, answer.body.code]).toEqual([401, 'credential_refused']);
      expect(answer.headers.get('www-authenticate')).toContain('Bearer');
      expect(answer.text).not.toContain(apiKey.slice(4, 30) || 'nothing');
    }
    const basic = await api.call('GET', '/v1/me', { apiKey: null, headers: { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` } });
    expect(basic.status).toBe(401);
  });

  it('say who they are', async () => {
    const { body } = await api.call('GET', '/v1/me');
    expect(body).toMatchObject({ workspace: { id: api.owner.workspaceId, slug: 'default' }, roles: ['owner'] });
    expect(body.permissions).toContain('approvals:decide');
    const plain = await api.makeKey({ roles: ['owner'] });
    expect((await api.call('GET', '/v1/me', { apiKey: plain.apiKey })).body.permissions).not.toContain('approvals:decide');
  });

  it('see nothing of another workspace: 404 as if it did not exist', async () => {
    const other = await api.makeWorkspace();
    const runId = await api.rig.database.inWorkspace(other, (transaction) => insertRun(transaction, { workspaceId: other, status: 'succeeded' }));
    for (const [method, path] of [
      ['GET', `/v1/runs/${runId}`],
      ['GET', `/v1/runs/${runId}/steps`],
      ['GET', `/v1/runs/${runId}/events`],
      ['GET', `/v1/runs/${runId}/logs`],
      ['DELETE', `/v1/runs/${runId}`],
      ['POST', `/v1/runs/${runId}/pin`],
    ] as const) {
      expect([method, path, (await api.call(method, path)).body.code]).toEqual([method, path, 'run_not_found']);
    }
    expect((await api.call('POST', `/v1/runs/${runId}/cancel`, { body: {}, headers: { 'idempotency-key': 'k' } })).status).toBe(404);
    expect((await api.call('GET', '/v1/runs')).body.items.map((run) => run.id)).not.toContain(runId);
  });
});

describe('problems', () => {
  const problem = {
    type: expect.stringMatching(/^urn:kos:problem:/),
    title: expect.any(String),
    detail: expect.any(String),
    traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
    retryable: expect.any(Boolean),
    errors: expect.any(Array),
  };

  it('have one shape, whatever went wrong', async () => {
    const cases: [number, string, Promise<{ status: number; body: object; headers: Headers }>][] = [
      [404, 'not_found', api.call('GET', '/v1/nothing')],
      [404, 'not_found', api.call('GET', '/v1/runs/run_1')],
      [405, 'method_not_allowed', api.call('PUT', '/v1/runs')],
      [400, 'request_invalid', api.call('GET', '/v1/runs?limit=201')],
      [400, 'request_invalid', api.call('GET', '/v1/runs?unknown=1')],
      [400, 'request_invalid', api.call('GET', '/v1/runs?status=finished')],
      [400, 'cursor_invalid', api.call('GET', '/v1/runs?cursor=abc')],
      [400, 'url_invalid', api.call('GET', '/v1/plans/%E0%A4%A')],
      [414, 'url_too_long', api.call('GET', `/v1/runs?plan=${'x'.repeat(9_000)}`)],
      [415, 'media_type_unsupported', api.call('POST', '/v1/plans/validate', { text: 'plan', headers: { 'content-type': 'text/html' } })],
      [
        415,
        'media_type_unsupported',
        api.call('POST', '/v1/plans/validate', { text: 'plan', headers: { 'content-type': 'application/yaml', 'content-encoding': 'gzip' } }),
      ],
      [400, 'body_invalid', api.call('POST', '/v1/plans/validate', { text: '{ "source": ', headers: { 'content-type': 'application/json' } })],
      [
        400,
        'body_invalid',
        api.call('POST', '/v1/plans/validate', { text: `${'['.repeat(5_000)}${']'.repeat(5_000)}`, headers: { 'content-type': 'application/json' } }),
      ],
      [413, 'body_too_large', api.call('PATCH', '/v1/settings', { body: { roots: 'x'.repeat(1_100_000) } })],
      [428, 'precondition_missing', api.call('PATCH', '/v1/settings', { body: {} })],
      [400, 'idempotency_key_missing', api.call('POST', '/v1/runs', { body: { plan: 'x' } })],
    ];
    for (const [status, code, pending] of cases) {
      const answer = await pending;
      expect(answer.body, code).toMatchObject({ ...problem, status, code });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json; charset=utf-8']);
    }
  });

  it('name each fault with its pointer, in words that need no schema', async () => {
    const { body } = await api.call('PUT', '/v1/secrets/token', { body: { value: '', hosts: ['not a host'], colour: 1 } });
    expect(body.errors.map((fault) => fault.pointer).toSorted()).toEqual(['/colour', '/hosts/0', '/value']);
    expect(body.errors).toContainEqual({ pointer: '/value', message: 'must not be empty' });
    const { body: page } = await api.call('GET', '/v1/runs?limit=999');
    expect(page.detail).toBe('The query of the request is not valid: /limit: must be at most 200, not 999');
    const { body: noNumber } = await api.call('GET', '/v1/runs?limit=abc');
    expect(noNumber.detail).toBe('The query of the request is not valid: /limit: must be a number');
  });

  it('carry the caller’s trace', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const { body, headers } = await api.call('GET', '/v1/nothing', { headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'x-request-id': 'mine' } });
    expect([body['traceId'], headers.get('x-request-id'), headers.get('traceparent')]).toEqual([traceId, 'mine', expect.stringContaining(`00-${traceId}-`)]);
  });
});

describe('the door', () => {
  const rawStatus = (headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      httpRequest(`${api.url}/healthz`, { headers }, (response) => resolve(response.resume().statusCode ?? 0))
        .on('error', reject)
        .end();
    });

  it('opens for the public address and for loopback only: a rebound name gets nothing', async () => {
    const { port } = new URL(api.url);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, 'kos.example'])
      expect([host, await rawStatus({ host })]).toEqual([host, 200]);
    for (const host of ['evil.example', `evil.example:${port}`, 'localhost', '127.0.0.1:1', 'kos.example.evil.example'])
      expect([host, await rawStatus({ host })]).toEqual([host, 421]);
  });

  it('refuses headers beyond 16 kB', async () => {
    expect(await rawStatus({ 'x-long': 'x'.repeat(20_000) })).toBe(431);
  });

  it('sends strict headers, and no word of what it runs on', async () => {
    const { headers } = await api.call('GET', '/healthz', { apiKey: null, headers: { origin: 'https://evil.example' } });
    expect(headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('cache-control')).toBe('no-store');
  });
});

describe('health', () => {
  it('names each part by a word', async () => {
    expect((await api.call('GET', '/readyz', { apiKey: null })).body).toEqual({ status: 'ready', parts: { database: 'ok', temporal: 'ok', workers: 'ok' } });
    expect((await api.call('GET', '/v1/overview')).body).toMatchObject({
      parts: { database: 'ok' },
      openApprovals: expect.any(Number),
      runs: { queued: expect.any(Number), failed: 0 },
    });
  });

  it('has figures for those who may read them', async () => {
    const { status, text } = await api.call('GET', '/metrics');
    expect(status).toBe(200);
    for (const name of ['kos_runs{status="queued"}', 'kos_outbox_depth', 'kos_sequencer_lag_events', 'process_resident_memory_bytes'])
      expect(text).toContain(name);
  });
});
