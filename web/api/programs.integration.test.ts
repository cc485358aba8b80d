import { createHmac, createSign, generateKeyPairSync, sign } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader, jwtVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ed25519PrivateKey } from '#services/identity/signing-key.ts';
import { makeTestApi, type Answer, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

const password = 'correct horse battery';
const get = (path: string, apiKey: string): Promise<Answer> => api.call('GET', path, { apiKey });
const post = (path: string, body: object): Promise<Answer> => api.call('POST', path, { apiKey: null, body });

async function login(name: string, roles: ('operator' | 'owner')[] = ['operator']): Promise<{ access: string; refresh: string; principalId: string }> {
  const { principalId } = await api.makeSession({ login: name, password, roles });
  const answer = await post('/v1/auth/login', { login: name, password, tokens: true });
  expect(answer.body).toMatchObject({ tokenType: 'Bearer', expiresInSeconds: 600 });
  expect(answer.headers.getSetCookie()).toEqual([]);
  return { access: String(answer.body['accessToken']), refresh: String(answer.body['refreshToken']), principalId };
}

describe('API keys', () => {
  it('are made within one’s own rights, shown once, found again by their public part, and revoked', async () => {
    const { headers } = await api.makeSession({ roles: ['operator'] });
    const make = (scopes: string[]) => api.call('POST', '/v1/keys', { apiKey: null, headers, body: { name: 'ci', scopes, expiresInDays: 30 } });
    const beyond = await make(['runs:start', 'settings:write']);
    expect([beyond.status, beyond.body.code, beyond.body['scopes']]).toEqual([403, 'scope_beyond_yours', ['settings:write']]);
    const made = await make(['runs:start', 'runs:read']);
    const apiKey = String(made.body['apiKey']);
    expect(apiKey).toMatch(/^kos_[0-9a-f]{12}_[0-9A-Za-z]{49}$/);
    const { body: me } = await get('/v1/me', apiKey);
    expect([me['via'], me.permissions]).toEqual(['api_key', ['runs:read', 'runs:start', 'self:read']]);
    const listed = await api.call('GET', '/v1/keys', { apiKey: null, headers });
    expect(listed.body.items).toMatchObject([{ id: made.body.id, publicId: apiKey.slice(4, 16), name: 'ci', lastUsedAt: expect.any(String) }]);
    expect(listed.text).not.toContain(apiKey.slice(17));
    expect((await api.call('DELETE', `/v1/keys/${made.body.id}`, { apiKey: null, headers })).status).toBe(204);
    expect((await get('/v1/me', apiKey)).status).toBe(401);
  });

  it('have at most what their owner has now', async () => {
    const { apiKey, principalId } = await api.makeKey({ roles: ['operator'], scopes: ['runs:start', 'runs:read'] });
    expect((await get('/v1/me', apiKey)).body.permissions).toContain('runs:start');
    expect((await api.call('PATCH', `/v1/members/${principalId}`, { body: { roles: ['viewer'] } })).status).toBe(200);
    expect((await get('/v1/me', apiKey)).body.permissions).toEqual(['runs:read', 'self:read']);
  });

  it('make no keys that are wider than themselves, and are not revoked by their neighbours', async () => {
    const narrow = await api.makeKey({ roles: ['owner'], scopes: ['keys:write', 'keys:read'] });
    const wide = await api.call('POST', '/v1/keys', { apiKey: narrow.apiKey, body: { name: 'x', scopes: ['runs:start'] } });
    expect(wide.body.code).toBe('scope_beyond_yours');
    const neighbour = await api.makeKey({ roles: ['viewer'], scopes: ['runs:read'] });
    const refused = await api.call('DELETE', `/v1/keys/${neighbour.credentialId}`, { apiKey: narrow.apiKey });
    expect([refused.status, refused.body['obstacle']]).toEqual([403, 'not_yours']);
  });

  it('of another workspace than the one that is named are refused', async () => {
    const answer = await api.call('GET', '/v1/me', { headers: { 'kos-workspace': await api.makeWorkspace() } });
    expect([answer.status, answer.body.code]).toEqual([403, 'workspace_refused']);
  });
});

describe('access tokens', () => {
  it('say who, for ten minutes, and can be verified with the published keys', async () => {
    const { access, principalId } = await login('token@kos.example');
    expect(decodeProtectedHeader(access)).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' });
    const { exp = 0, iat = 0, iss, aud, sub } = decodeJwt(access);
    expect({ life: exp - iat, iss, aud, sub }).toEqual({ life: 600, iss: 'https://kos.example', aud: 'https://kos.example/v1', sub: principalId });
    const jwks = (await api.call('GET', '/.well-known/jwks.json', { apiKey: null })).body as unknown as JSONWebKeySet;
    expect((await jwtVerify(access, createLocalJWKSet(jwks), { algorithms: ['EdDSA'] })).payload.sub).toBe(principalId);
    expect(JSON.stringify(jwks)).not.toContain('"d"');
    const { body: me } = await get('/v1/me', access);
    expect(me).toMatchObject({ via: 'token', principal: { id: principalId } });
    expect(me.permissions).toContain('runs:start');
    const { body: valid } = await api.call('POST', '/api/v1/auth/validate', { apiKey: access, body: {} });
    expect(valid).toMatchObject({ active: true, principalId, expiresAt: new Date(exp * 1_000).toISOString() });
  });

  it('never decide approvals, manage members or open sessions', async () => {
    const { access } = await login('boss@kos.example', ['owner']);
    const { permissions } = (await get('/v1/me', access)).body;
    for (const permission of ['approvals:decide', 'members:write', 'self:secure', 'self:open']) expect(permissions).not.toContain(permission);
  });

  it('refresh by a token that is good once; one that comes back ends the line', async () => {
    const { access, refresh } = await login('refresh@kos.example');
    const second = await post('/v1/auth/refresh', { refreshToken: refresh });
    expect(second.status).toBe(200);
    const third = await post('/v1/auth/refresh', { refreshToken: second.body['refreshToken'] });
    expect(third.status).toBe(200);
    const stolen = await post('/v1/auth/refresh', { refreshToken: refresh });
    expect([stolen.status, stolen.body.code]).toEqual([401, 'refresh_refused']);
    expect((await post('/v1/auth/refresh', { refreshToken: third.body['refreshToken'] })).status).toBe(401);
    await expect.poll(async () => (await get('/v1/me', access)).status, { timeout: 10_000 }).toBe(401);
    const [{ reason } = { reason: '' }] = await api.rig.system.sql<{ reason: string }[]>`
      select data ->> 'because' as reason from kos.audit_entries where action = 'grant.end' order by inserted desc limit 1`;
    expect(reason).toBe('reuse');
  });

  it('of many refreshes at once with one token, one goes through and the line ends', async () => {
    const { refresh } = await login('race@kos.example');
    const answers = await Promise.all(Array.from({ length: 8 }, () => post('/v1/auth/refresh', { refreshToken: refresh })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const next = answers.find(({ status }) => status === 200)?.body['refreshToken'];
    expect((await post('/v1/auth/refresh', { refreshToken: next })).status).toBe(401);
  });

  it('end with sign-out at once', async () => {
    const { access, refresh } = await login('leave@kos.example');
    expect((await api.call('POST', '/v1/auth/logout', { apiKey: access, body: {} })).status).toBe(204);
    expect((await get('/v1/me', access)).status).toBe(401);
    expect((await post('/v1/auth/refresh', { refreshToken: refresh })).status).toBe(401);
  });
});

describe('OAuth client credentials', () => {
  const ask = (form: Record<string, string>, headers: Record<string, string> = {}) =>
    api.call('POST', '/v1/oauth/token', {
      apiKey: null,
      text: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    });

  it('give a key’s rights or less, by Basic or in the body, and end with the key', async () => {
    const { apiKey, credentialId, principalId } = await api.makeKey({ roles: ['operator'], scopes: ['runs:read', 'runs:start'] });
    const basic = Buffer.from(`${credentialId}:${apiKey}`).toString('base64');
    const whole = await ask({ grant_type: 'client_credentials' }, { authorization: `Basic ${basic}` });
    expect(whole.body).toMatchObject({ token_type: 'Bearer', expires_in: 600, scope: 'runs:read runs:start' });
    expect(whole.body['refresh_token']).toBeUndefined();
    const narrow = await ask({ grant_type: 'client_credentials', client_id: credentialId, client_secret: apiKey, scope: 'runs:read' });
    const token = String(narrow.body['access_token']);
    expect((await get('/v1/me', token)).body).toMatchObject({ principal: { id: principalId }, permissions: ['runs:read', 'self:read'] });
    expect((await api.call('POST', '/v1/runs', { apiKey: token, body: {} })).status).toBe(403);
    expect((await api.call('DELETE', `/v1/keys/${credentialId}`)).status).toBe(204);
    await expect.poll(async () => (await get('/v1/me', token)).status, { timeout: 10_000 }).toBe(401);
  });

  it('are refused in the words that OAuth clients read', async () => {
    const { apiKey, credentialId } = await api.makeKey({ roles: ['operator'], scopes: ['runs:read'] });
    const other = await api.makeKey({ roles: ['operator'], scopes: ['runs:read'] });
    const client = { client_id: credentialId, client_secret: apiKey };
    const cases: [Record<string, string>, number, string][] = [
      [{ grant_type: 'password', ...client }, 400, 'unsupported_grant_type'],
      [{ grant_type: 'client_credentials' }, 401, 'invalid_client'],
      [{ grant_type: 'client_credentials', ...client, client_id: other.credentialId }, 401, 'invalid_client'],
      [{ grant_type: 'client_credentials', client_id: api.owner.principalId, client_secret: api.apiKey }, 401, 'invalid_client'],
      [{ grant_type: 'client_credentials', ...client, scope: 'runs:read runs:start' }, 400, 'invalid_scope'],
    ];
    for (const [form, status, error] of cases) {
      const answer = await ask(form);
      expect([answer.status, answer.body['error']]).toEqual([status, error]);
    }
  });
});

describe('forged tokens', () => {
  it('are refused, all sixty of them', async () => {
    const { access, principalId } = await login('forged@kos.example');
    const forged = forgeries(access, principalId);
    expect(forged).toHaveLength(60);
    expect(new Set(forged).size).toBe(60);
    for (const token of forged) {
      const answer = await get('/v1/me', token);
      expect([answer.status, answer.body.code], token.slice(0, 80)).toEqual([401, 'credential_refused']);
    }
    expect((await get('/v1/me', access)).status).toBe(200);
  });
});

/** Signed as the real ones are, so that each is wrong in one thing alone. */
function forgeries(real: string, principalId: string): string[] {
  const ours = ed25519PrivateKey(Buffer.alloc(32, 6));
  const header = decodeProtectedHeader(real);
  const claims = decodeJwt(real);
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = (head: object, body: object, key = ours): string => {
    const text = `${encode(head)}.${encode(body)}`;
    return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`;
  };
  expect(signed(header, claims).split('.')).toHaveLength(3);
  const now = Math.floor(Date.now() / 1_000);
  const [head = '', body = '', signature = ''] = real.split('.');

  const wrongClaims: object[] = [
    ...['https://evil.example', 'https://kos.example/', 'http://kos.example', '', null, 1, ['https://kos.example']].map((iss) => ({ iss })),
    ...['https://kos.example', 'https://evil.example/v1', '', null, [], ['https://evil.example/v1']].map((aud) => ({ aud })),
    ...[now - 1, now - 86_400, 0, -1, '9999999999', null, undefined].map((exp) => ({ exp })),
    ...[now - 700, now - 86_400, now + 3_600, undefined, 'now'].map((iat) => ({ iat })),
    { nbf: now + 600 },
    ...['prn_019a0000-0000-7000-8000-000000000000', api.owner.principalId, '', undefined, null, 7].map((sub) => ({ sub })),
    ...['ws_019a0000-0000-7000-8000-000000000000', '', undefined, 3].map((ws) => ({ ws })),
    ...['grt_019a0000-0000-7000-8000-000000000000', 'key_019a0000-0000-7000-8000-000000000000', '', undefined, principalId].map((sid) => ({ sid })),
    { jti: undefined },
    { scope: ['runs:start'] },
  ];
  const wrongHeads: object[] = [
    { ...header, alg: 'none' },
    { ...header, typ: 'JWT' },
    { ...header, typ: undefined },
    { ...header, typ: 'dpop+jwt' },
    { ...header, kid: 'another' },
    { ...header, kid: undefined },
    { ...header, crit: ['exp'] },
  ];
  const publicKey = Buffer.from(String(api.dependencies.tokens.jwks.keys[0]?.x), 'base64url');
  const hmacText = `${encode({ ...header, alg: 'HS256' })}.${body}`;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const rsaText = `${encode({ ...header, alg: 'RS256', jwk: rsa.publicKey.export({ format: 'jwk' }) })}.${body}`;
  const stranger = generateKeyPairSync('ed25519').privateKey;
  const shapes: string[] = [
    `${encode({ ...header, alg: 'none' })}.${body}.`,
    `${hmacText}.${createHmac('sha256', publicKey).update(hmacText).digest('base64url')}`,
    `${rsaText}.${createSign('sha256').update(rsaText).sign(rsa.privateKey, 'base64url')}`,
    signed(header, claims, stranger),
    signed({ ...header, jwk: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) }, claims, stranger),
    `${head}.${body}.`,
    `${head}.${body}`,
    `${head}.${encode({ ...claims, sub: api.owner.principalId })}.${signature}`,
    `${head}.${body}.${signature.slice(0, -4)}AAAA`,
    `${head}..${signature}`,
  ];
  return [...wrongClaims.map((change) => signed(header, { ...claims, ...change })), ...wrongHeads.map((head_) => signed(head_, claims)), ...shapes];
}

describe('an open stream', () => {
  /** Resolves with how long it took to end, in ms. */
  async function openStream(
    apiKey: string | null,
    runId: string,
    headers: Record<string, string> = {},
  ): Promise<{ ended: Promise<number>; after: () => void }> {
    const response = await fetch(`${api.url}/v1/runs/${runId}/events`, {
      headers: { accept: 'text/event-stream', ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }), ...headers },
    });
    expect(response.status).toBe(200);
    let since = 0;
    const ended = (async () => {
      for await (const chunk of response.body ?? []) expect(chunk).toBeDefined();
      return performance.now() - since;
    })();
    return { ended, after: () => (since = performance.now()) };
  }

  it('ends within 5 s of its reader’s right to it, however that ends, and no other does', async () => {
    const { workspaceId } = api.owner;
    const runId = await api.rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId }));
    const key = await api.makeKey({ roles: ['viewer'], scopes: ['runs:read'] });
    const demoted = await api.makeKey({ roles: ['viewer'], scopes: ['runs:read'] });
    const session = await api.makeSession();
    const disabled = await api.makeSession();
    const { access } = await login('stream@kos.example');
    const installer = await api.makeSession({ roles: ['owner'], installationRole: 'owner' });
    const kept = await openStream(api.apiKey, runId);
    const streams = await Promise.all([
      openStream(key.apiKey, runId),
      openStream(demoted.apiKey, runId),
      openStream(null, runId, { cookie: session.headers.cookie }),
      openStream(null, runId, { cookie: disabled.headers.cookie }),
      openStream(access, runId),
    ]);
    streams.forEach((stream) => stream.after());
    const body = {};
    await Promise.all([
      api.call('DELETE', `/v1/keys/${key.credentialId}`),
      api.call('DELETE', `/v1/members/${demoted.principalId}`),
      api.call('DELETE', `/v1/me/sessions/${session.sessionId}`, { apiKey: null, headers: session.headers }),
      api.call('PATCH', `/v1/people/${disabled.principalId}`, { apiKey: null, headers: installer.headers, body: { disabled: true } }),
      api.call('POST', '/v1/auth/logout', { apiKey: access, body }),
    ]).then((answers) => expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 200, 204]));
    for (const stream of streams) expect(await stream.ended).toBeLessThan(5_000);
    expect(await Promise.race([kept.ended.then(() => 'ended'), sleep(500, 'open')])).toBe('open');
  });
});
