import { afterEach, describe, expect, test } from 'vitest';
import { type FixtureServer, type Handler, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiOptions, type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { page } from '#tests/kai/shapes.ts';

let server: FixtureServer;

async function kai(words: string[], routes: Record<string, Handler>, options: Partial<KaiOptions> = {}): Promise<KaiResult> {
  server = await startFixtureServer(routes, { open: true });
  return await runKai(['me', ...words], { home: await makeHome(server), ...options });
}

afterEach(async () => {
  await server.close();
});

const sent = (line: string): { body: unknown; cookie: string | undefined; ifMatch: string | undefined } => {
  const request = server.received.find(({ method, path }) => `${method} ${path}` === line);
  return {
    body: request === undefined ? undefined : JSON.parse(request.body || 'null'),
    cookie: request?.headers.cookie,
    ifMatch: request?.headers['if-match'],
  };
};

const profile = { id: 'prn_1', name: 'Ada', login: 'ada@kos.example', hasPassword: true };
const who = (permissions: string[], login: string | null = profile.login): Handler => {
  const me = { principal: { id: 'prn_1', name: 'Ada' }, workspace: null, roles: [], permissions, via: 'api_key', scopes: null, installationRole: null, login };
  return () => ({ json: { ...me, version: '0' } });
};
const byKey = { 'GET /v1/me': who(['self:read']) };
const byOwnerKey = { 'GET /v1/me': who(['self:read', 'self:secure']) };
const signingIn = {
  'POST /v1/auth/login': () => ({ json: { sessionId: 'ses_1' }, headers: { 'set-cookie': 'kos_x=token; HttpOnly' } }),
  'POST /v1/auth/logout': () => ({ status: 204, bytes: '' }),
} satisfies Record<string, Handler>;
const sessionId = 'ses_01a1fbed-3526-70db-9986-2f479f032b1e';
const at = '2026-01-01T00:00:00Z';
const session = { id: sessionId, method: 'link', userAgent: 'Firefox\u001b[2J', createdAt: at, lastSeenAt: at, expiresAt: at, current: false };
const sessions = { 'GET /v1/me/sessions': () => ({ json: page(session) }), 'DELETE /v1/me/sessions/{id}': () => ({ status: 204, bytes: '' }) };

describe('what belongs to oneself', () => {
  test('a name is changed', async () => {
    const { code, stderr } = await kai(['rename', 'Ada Lovelace'], { 'PATCH /v1/me': () => ({ json: { ...profile, name: 'Ada Lovelace' } }) });
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'You are Ada Lovelace now.\n' });
    expect(sent('PATCH /v1/me').body).toEqual({ name: 'Ada Lovelace' });
  });

  test.each([
    [['set', 'theme', 'dark'], '', { theme: 'dark', rows: 20 }, '"preferences-ab"'],
    [['set', 'rows', '50'], '', { theme: 'light', rows: 50 }, '"preferences-ab"'],
    [['unset', 'theme'], '', { rows: 20 }, '"preferences-ab"'],
    [['replace', '-'], '{"a": [1]}', { a: [1] }, undefined],
  ])('preferences: %j; a change of one, on what was read', async (words, input, replaced, ifMatch) => {
    const routes = {
      'GET /v1/me/preferences': () => ({ json: { theme: 'light', rows: 20 }, headers: { etag: '"preferences-ab"' } }),
      'PUT /v1/me/preferences': () => ({ json: replaced }),
    };
    const { code, stdout } = await kai(['preferences', ...words], routes, { input });
    expect([code, JSON.parse(stdout)]).toEqual([0, replaced]);
    expect(sent('PUT /v1/me/preferences')).toMatchObject({ body: replaced, ifMatch });
  });

  test('preferences are shown; one that is not there cannot be removed, and a list is none', async () => {
    const routes = { 'GET /v1/me/preferences': () => ({ json: { theme: 'light' } }) };
    expect(JSON.parse((await kai(['preferences'], routes)).stdout)).toEqual({ theme: 'light' });
    await server.close();
    expect(await kai(['preferences', 'unset', 'rows'], routes)).toMatchObject({ code: 2, stderr: expect.stringContaining('kai me preferences') });
    await server.close();
    expect((await kai(['preferences', 'replace', '-'], routes, { input: '[]' })).code).toBe(2);
  });
});

describe('what no key may do', () => {
  test('the owner’s local key is the owner', async () => {
    const { code, stdout } = await kai(['sessions'], { ...byOwnerKey, ...sessions });
    expect(code).toBe(0);
    expect(stdout).toContain(String.raw`Firefox\u{1b}[2J`);
    expect(server.received.map(({ path }) => path)).not.toContain('/v1/auth/login');
  });

  test('is done with the password, in a session that is gone afterwards', async () => {
    const { code, stderr } = await kai(['end-session', '2f479f032b1e'], { ...byKey, ...signingIn, ...sessions }, { input: 'my password\n' });
    expect({ code, stderr }).toEqual({ code: 0, stderr: `Ended ${sessionId}.\n` });
    expect(sent('POST /v1/auth/login').body).toEqual({ login: 'ada@kos.example', password: 'my password' });
    expect(sent(`DELETE /v1/me/sessions/${sessionId}`).cookie).toBe('kos_x=token');
    expect(server.received.at(-1)).toMatchObject({ path: '/v1/auth/logout', headers: { cookie: 'kos_x=token' } });
  });

  test('says why, and what helps, where nobody can be asked', async () => {
    expect(await kai(['sessions'], byKey)).toMatchObject({ code: 2, stderr: expect.stringContaining('Give on standard input, a line each: your password') });
    await server.close();
    const { code, stderr } = await kai(['sessions'], { 'GET /v1/me': who(['self:read'], null) }, { input: 'x' });
    expect(code).toBe(4);
    expect(stderr).toMatch(/No key or token may .*\nfix: .*kai member reset/);
  });

  const changed = { 'PUT /v1/me/password': () => ({ json: profile }) };
  test.each([
    ['the owner, who has none', byOwnerKey, ['--login', 'ada@kos.example'], 'the new one\n', { password: 'the new one', login: 'ada@kos.example' }],
    ['the owner, who has one', byOwnerKey, [], 'the old one\nthe new one\n', { currentPassword: 'the old one', password: 'the new one' }],
    ['anybody else', byKey, [], 'the old one\nthe new one\n', { currentPassword: 'the old one', password: 'the new one' }],
  ])('a password is set by %s', async (_who, me, words, input, body) => {
    const { code, stdout, stderr } = await kai(['password', ...words], { ...me, ...signingIn, ...changed }, { input });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toBe('ada@kos.example has a new password; every other session and token has ended.\n');
    expect(sent('PUT /v1/me/password').body).toEqual(body);
  });

  test('what was done is told although the sign-out fails, and so is why it was not', async () => {
    const stuck = { ...byKey, ...signingIn, 'POST /v1/auth/logout': () => ({ broken: true as const }) };
    const input = 'the old one\nthe new one\n';
    const { code, stderr } = await kai(['password'], { ...stuck, ...changed }, { input });
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^warning: the session of this command may still be open: .*\(connection broken off\).*kai me end-session ID\.\nada@kos\.example has a new/,
    );
    await server.close();
    const refusal = { code: 'password_too_short', detail: 'The password is too short.', title: 'Bad Request', status: 400 };
    const refused = { 'PUT /v1/me/password': () => ({ status: 400, json: refusal, headers: { 'content-type': 'application/problem+json' } }) };
    const failed = await kai(['password'], { ...stuck, ...refused }, { input });
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toMatch(/^warning: .*\nerror: The password is too short\./);
  });
});
