import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type FixtureServer, type Handler, problem, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiOptions, type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { page } from '#tests/kai/shapes.ts';

let server: FixtureServer;
let home: string;

async function kai(words: string[], routes: Record<string, Handler>, options: Partial<KaiOptions> = {}): Promise<KaiResult> {
  server = await startFixtureServer(routes);
  home = await makeHome(server);
  return await runKai(words, { home, ...options });
}

afterEach(async () => {
  await server.close();
});

const principalId = 'prn_01a1fbed-3526-70db-9986-2f479f032b1e';
const keyId = 'key_01a1fbed-3526-70db-9986-2f479f032b1e';
const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
const member = { id: principalId, name: 'Ada', login: 'ada@kos.example', roles: ['viewer'], disabled: false, joinedAt: '2026-01-01T00:00:00Z' };
const me = {
  principal: { id: principalId, name: 'Ada' },
  workspace: { id: 'ws_1', slug: 'default', name: 'Default' },
  roles: ['operator'],
  permissions: ['runs:read', 'runs:start', 'self:read', 'self:secure'],
  via: 'session',
  scopes: null,
  installationRole: null,
  login: 'ada@kos.example',
  version: '0.0.0',
};

describe('open', () => {
  test('prints the link as data, and opens no browser where nobody looks', async () => {
    const { code, stdout, stderr } = await kai(['open'], {
      'POST /v1/me/links': () => ({ status: 201, json: { id: 'lnk_1', url: 'http://kos/sign-in#link=abc', expiresAt: inAnHour } }),
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'http://kos/sign-in#link=abc\n' });
    expect(stderr).toMatch(/once, within (59|1 h|60)/);
  });
});

describe('whoami', () => {
  test('says who, where, and why not', async () => {
    const { stdout } = await kai(['whoami', '--permissions'], { 'GET /v1/me': () => ({ json: me }) });
    expect(stdout).toMatch(/name +Ada\n/);
    expect(stdout).toMatch(/workspace +default \(ws_1\)\n/);
    expect(stdout).toContain('runs:start');
    await server.close();
    const asked = await kai(['whoami', '--may', 'settings:write'], {
      'GET /v1/me/may': () => ({
        json: {
          action: 'settings:write',
          allowed: false,
          obstacle: 'role',
          message: 'No role gives it.',
          fix: 'Ask an admin.',
          roles: ['admin'],
          administrators: ['Grace'],
        },
      }),
    });
    expect(asked.stdout).toBe('no\nNo role gives it.\nAsk an admin.\nAsk: Grace\n');
  });
});

describe('key', () => {
  const made = {
    id: keyId,
    publicId: '0123456789ab',
    name: 'ci',
    ownerId: principalId,
    ownerName: 'Ada',
    scopes: ['runs:read'],
    createdAt: inAnHour,
    expiresAt: null,
    lastUsedAt: null,
  };

  test('create prints the key alone on standard output; a role leaves out what must be named', async () => {
    const { code, stdout } = await kai(['key', 'create', 'ci', '--role', 'approver', '--scope', 'runs:start', '--expires-in-days', '30'], {
      'POST /v1/keys': () => ({ status: 201, json: { ...made, apiKey: 'kos_the_key' } }),
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'kos_the_key\n' });
    const body = JSON.parse(server.received[0]?.body ?? '{}') as { scopes: string[]; expiresInDays: number };
    expect(body.expiresInDays).toBe(30);
    expect(body.scopes).toEqual(expect.arrayContaining(['approvals:read', 'runs:start']));
    for (const scope of ['approvals:decide', 'self:secure']) expect(body.scopes).not.toContain(scope);
  });

  test('create for an admin gives none of what a key may have by name alone', async () => {
    await kai(['key', 'create', 'ci', '--role', 'admin'], { 'POST /v1/keys': () => ({ status: 201, json: { ...made, apiKey: 'kos_the_key' } }) });
    const { scopes } = JSON.parse(server.received[0]?.body ?? '{}') as { scopes: string[] };
    expect(scopes).toContain('settings:write');
    for (const scope of ['approvals:decide', 'rules:write', 'members:write']) expect(scopes).not.toContain(scope);
  });

  test('create without scopes is no guess', async () => {
    const { code, stderr } = await kai(['key', 'create', 'ci'], {});
    expect(code).toBe(2);
    expect(stderr).toContain('--role operator');
  });

  test('revoke takes the end of an id', async () => {
    const { code } = await kai(['key', 'revoke', '2f479f032b1e'], {
      'GET /v1/keys': () => ({ json: page(made) }),
      'DELETE /v1/keys/{id}': () => ({ status: 204, bytes: '' }),
    });
    expect([code, server.received.at(-1)?.path]).toEqual([0, `/v1/keys/${keyId}`]);
  });
});

describe('member', () => {
  test('invite prints the link, which is shown once', async () => {
    const { stdout, stderr } = await kai(['member', 'invite', 'ada@kos.example', '--role', 'operator', 'approver'], {
      'POST /v1/invitations': () => ({ status: 201, json: { id: 'lnk_1', url: 'http://kos/sign-in#invitation=abc', expiresAt: inAnHour } }),
    });
    expect(stdout).toBe('http://kos/sign-in#invitation=abc\n');
    expect(stderr).toContain('shown this once');
    expect(JSON.parse(server.received[0]?.body ?? '')).toEqual({ login: 'ada@kos.example', roles: ['operator', 'approver'] });
  });

  test('set finds the person by login or name, and changes only what is said', async () => {
    const { code, stderr } = await kai(['member', 'set', 'Ada@KOS.example', '--role', 'admin'], {
      'GET /v1/members': () => ({ json: page(member) }),
      'PATCH /v1/members/{id}': () => ({ json: { ...member, roles: ['admin'] } }),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'Ada: admin.\n' });
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toEqual({ roles: ['admin'] });
  });

  test('get shows one by login', async () => {
    const routes = { 'GET /v1/members': () => ({ json: page(member) }), 'GET /v1/members/{id}': () => ({ json: { ...member, disabled: true } }) };
    const { code, stdout } = await kai(['member', 'get', 'ada@kos.example'], routes);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^name +Ada\nlogin +ada@kos\.example\n.*\nroles +viewer\nstate +disabled\njoined /),
    });
    expect(server.received.at(-1)?.path).toBe(`/v1/members/${principalId}`);
  });

  test.each([
    [[], 'owner', 'Ada owns the installation now.\n'],
    [['--remove'], null, 'Ada does not own the installation now.\n'],
  ])('owner %j hands the installation over, and takes it back', async (words, installationRole, said) => {
    const person = { ...member, installationRole, workspaces: [] };
    const routes = { 'GET /v1/people': () => ({ json: page(person) }), 'PATCH /v1/people/{id}': () => ({ json: person }) };
    expect(await kai(['member', 'owner', 'Ada', ...words], routes)).toMatchObject({ code: 0, stderr: said });
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toEqual({ installationRole });
  });

  test('a name that nobody or several have is not guessed at', async () => {
    const routes = { 'GET /v1/members': () => ({ json: page(member, { ...member, id: principalId.replace('01a1', '01a2'), login: 'ada@other.example' }) }) };
    expect((await kai(['member', 'remove', 'Bob', '--yes'], routes)).code).toBe(5);
    await server.close();
    expect((await kai(['member', 'remove', 'Ada', '--yes'], routes)).code).toBe(2);
  });
});

describe('login', () => {
  const refuseKey = (request: { headers: { authorization?: string | undefined } }): boolean => request.headers.authorization !== undefined;

  test('makes a key by a session of its own, keeps that alone, and works with it until logout', async () => {
    server = await startFixtureServer({});
    home = await makeHome();
    const remote = await startFixtureServer(
      {
        'POST /v1/auth/login': () => ({ json: { sessionId: 'ses_1' }, headers: { 'set-cookie': 'kos_x=token; HttpOnly' } }),
        'GET /v1/workspaces': () => ({ json: page({ id: 'ws_1', slug: 'default', name: 'Default', roles: ['operator'] }) }),
        'GET /v1/me': () => ({ json: me }),
        'POST /v1/keys': () => ({ status: 201, json: { id: keyId, apiKey: 'kos_key_of_the_test' } }),
        'POST /v1/auth/logout': () => ({ status: 204, bytes: '' }),
        'DELETE /v1/keys/{id}': () => ({ status: 204, bytes: '' }),
        'GET /v1/runs': () => ({ json: page() }),
      },
      { open: true },
    );
    const signedIn = await runKai(['login', '--url', `${remote.url}/`, '--login', 'ada@kos.example'], { home, input: 'the password\n' });
    expect(signedIn).toMatchObject({ code: 0, stdout: '' });
    const byPath = new Map(remote.received.map((request) => [`${request.method} ${request.path}`, request]));
    expect(JSON.parse(byPath.get('POST /v1/auth/login')?.body ?? '')).toEqual({ login: 'ada@kos.example', password: 'the password' });
    const made = byPath.get('POST /v1/keys');
    expect(made && refuseKey(made)).toBe(false);
    expect(made?.headers).toMatchObject({ cookie: 'kos_x=token', origin: remote.url, 'kos-workspace': 'ws_1' });
    expect(JSON.parse(made?.body ?? '')).toMatchObject({ scopes: ['runs:read', 'runs:start', 'self:read'], expiresInDays: 90 });
    expect(byPath.has('POST /v1/auth/logout')).toBe(true);
    const file = join(home, 'login.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ url: remote.url, apiKey: 'kos_key_of_the_test', keyId });
    expect((await runKai(['run', 'list'], { home })).code).toBe(0);
    expect(remote.received.at(-1)).toMatchObject({ path: '/v1/runs', headers: { authorization: 'Bearer kos_key_of_the_test' } });
    expect((await runKai(['run', 'list'], { home, env: { KOS_LOCAL: '1' } })).stderr).toContain('kOS has not been started here yet');
    expect((await runKai(['logout'], { home })).code).toBe(0);
    expect(remote.received.at(-1)?.path).toBe(`/v1/keys/${keyId}`);
    expect((await runKai(['logout'], { home })).code).toBe(2);
    await remote.close();
  });

  test('a wrong password leaves everything as it was', async () => {
    const refusal = problem({ status: 401, code: 'sign_in_refused', detail: 'That login and password do not go together.' });
    server = await startFixtureServer({ 'POST /v1/auth/login': () => ({ status: 401, json: refusal }) }, { open: true });
    home = await makeHome(server);
    const { code, stderr } = await runKai(['login', '--url', server.url, '--login', 'ada'], { home, input: 'x' });
    expect(code).toBe(4);
    expect(stderr).toContain('do not go together');
    await expect(stat(join(home, 'login.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a password is not sent in clear, nor asked for where nobody sits', async () => {
    server = await startFixtureServer({});
    home = await makeHome(server);
    expect((await runKai(['login', '--url', 'http://kos.example.com', '--login', 'ada'], { home, input: 'x' })).stderr).toContain('not encrypted');
    expect((await runKai(['login', '--url', server.url], { home, input: 'x' })).code).toBe(2);
    await writeFile(join(home, 'login.json'), 'not json');
    expect((await runKai(['run', 'list'], { home })).stderr).toContain('kai login');
  });
});
