import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkPassword } from '#services/people/sign-in.ts';
import { makeTestApi, type Answer, type TestApi, type TestSession } from '#tests/rig/test-api.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

const origin = 'https://kos.example';
const password = 'correct horse battery';

const post = (path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  api.call('POST', path, { apiKey: null, body, headers: { origin, ...headers } });

/** The secret of a link, as the page reads it from its fragment. */
const tokenOf = (answer: Answer): string => /#[a-z]+=([A-Za-z0-9_-]{43})$/.exec(String(answer.body['url']))?.[1] ?? '';

/** The cookie that an answer sets, as the browser would send it back. */
const cookieOf = (answer: Answer): string => answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';

const me = (cookie: string, headers: Record<string, string> = {}): Promise<Answer> =>
  api.call('GET', '/v1/me', { apiKey: null, headers: { cookie, ...headers } });

const as = (session: TestSession | string, method: string, path: string, body?: object, more: Record<string, string> = {}): Promise<Answer> =>
  api.call(method, path, {
    apiKey: null,
    headers: { ...(typeof session === 'string' ? { cookie: session, origin } : session.headers), ...more },
    ...(body === undefined && method !== 'POST' ? {} : { body: body ?? {} }),
  });

describe('a sign-in link', () => {
  it('signs the owner in, once, by a POST', async () => {
    const made = await api.call('POST', '/v1/me/links');
    expect(made.status).toBe(201);
    expect(made.body['url']).toMatch(/^https:\/\/kos\.example\/sign-in#link=/);
    const minutes = (Date.parse(String(made.body['expiresAt'])) - Date.now()) / 60_000;
    expect(Math.round(minutes)).toBe(15);
    const spent = await post('/v1/auth/links', { token: tokenOf(made) });
    expect(spent.status).toBe(200);
    const [cookie = ''] = spent.headers.getSetCookie();
    expect(cookie).toMatch(/^__Host-kos_[0-9a-f]{12}=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=2592000$/);
    expect((await me(cookieOf(spent))).body).toMatchObject({ principal: { id: api.owner.principalId }, via: 'session', roles: ['owner'] });
    const again = await post('/v1/auth/links', { token: tokenOf(made) });
    expect([again.status, again.body.code]).toEqual([401, 'link_refused']);
  });

  it('is kept as a hash, is worth nothing later, and nothing as another kind', async () => {
    const made = await api.call('POST', '/v1/me/links');
    const [{ stored } = { stored: '' }] = await api.rig.system.sql<
      { stored: string }[]
    >`select to_jsonb(l)::text as stored from kos.links l where id = ${made.body.id}`;
    expect(stored).not.toContain(tokenOf(made));
    expect((await post('/v1/auth/resets', { token: tokenOf(made), password })).body.code).toBe('link_refused');
    await api.rig.system.sql`update kos.links set expires_at = now() - interval '1 s' where id = ${made.body.id}`;
    expect((await post('/v1/auth/links', { token: tokenOf(made) })).body.code).toBe('link_refused');
  });

  it('is not spent by another site’s page', async () => {
    const made = await api.call('POST', '/v1/me/links');
    const elsewhere = await api.call('POST', '/v1/auth/links', { apiKey: null, body: { token: tokenOf(made) }, headers: { origin: 'https://evil.example' } });
    expect([elsewhere.status, elsewhere.body.code]).toEqual([403, 'origin_refused']);
    expect((await post('/v1/auth/links', { token: tokenOf(made) })).status).toBe(200);
  });
});

describe('an invitation', () => {
  it('makes a person with a password, who can sign in by it', async () => {
    const admin = await api.makeSession({ roles: ['admin'] });
    const made = await as(admin, 'POST', '/v1/invitations', { login: 'Ada@KOS.example', roles: ['operator', 'approver'] });
    expect(made.status).toBe(201);
    expect((await as(admin, 'GET', '/v1/invitations')).body.items.map((item) => item['login'])).toContain('ada@kos.example');
    const short = await post('/v1/auth/invitations', { token: tokenOf(made), name: 'Ada', password: 'short' });
    expect([short.status, short.body.errors[0]?.pointer]).toEqual([400, '/password']);
    const accepted = await post('/v1/auth/invitations', { token: tokenOf(made), name: 'Ada', password });
    expect((await me(cookieOf(accepted))).body).toMatchObject({ principal: { name: 'Ada' }, roles: ['operator', 'approver'], login: 'ada@kos.example' });
    expect((await post('/v1/auth/invitations', { token: tokenOf(made), name: 'Eve', password })).body.code).toBe('link_refused');
    const signedIn = await post('/v1/auth/login', { login: 'ADA@kos.example', password });
    expect(signedIn.status).toBe(200);
    expect(cookieOf(signedIn)).not.toBe(cookieOf(accepted));
    expect((await as(admin, 'POST', '/v1/invitations', { login: 'ada@kos.example', roles: ['viewer'] })).body.code).toBe('already_member');
  });

  it('to somebody who has an account asks for their password, and never sets it', async () => {
    const workspaceId = await api.makeWorkspace();
    const there = await api.makeKey({ roles: ['owner'], workspaceId, scopes: ['members:write'] });
    const known = await api.makeSession({ login: 'known@kos.example', password });
    const made = await api.call('POST', '/v1/invitations', { apiKey: there.apiKey, body: { login: 'known@kos.example', roles: ['viewer'] } });
    const stranger = await post('/v1/auth/invitations', { token: tokenOf(made), name: 'x', password: 'another long password' });
    expect([stranger.status, stranger.body.code]).toEqual([401, 'sign_in_refused']);
    const accepted = await post('/v1/auth/invitations', { token: tokenOf(made), password });
    expect(accepted.status).toBe(200);
    const ambiguous = await api.call('GET', '/v1/runs', { apiKey: null, headers: { cookie: cookieOf(accepted) } });
    expect([ambiguous.status, ambiguous.body.code]).toEqual([400, 'workspace_required']);
    const chosen = await api.call('GET', '/v1/runs', { apiKey: null, headers: { cookie: cookieOf(accepted), 'kos-workspace': workspaceId } });
    expect(chosen.status).toBe(200);
    expect((await as(cookieOf(accepted), 'GET', '/v1/workspaces')).body.items.map(({ id }) => id).toSorted()).toEqual(
      [workspaceId, api.owner.workspaceId].toSorted(),
    );
    expect(known.principalId).toBe((await me(cookieOf(accepted))).body['principal'] && ((await me(cookieOf(accepted))).body['principal'] as { id: string }).id);
    const foreign = await me(cookieOf(accepted), { 'kos-workspace': await api.makeWorkspace() });
    expect([foreign.status, foreign.body.code]).toEqual([403, 'workspace_refused']);
  });

  it('is worth no more than the one who wrote it is now, and can be taken back', async () => {
    const admin = await api.makeSession({ roles: ['admin'] });
    const beyond = await as(admin, 'POST', '/v1/invitations', { login: 'boss@kos.example', roles: ['owner'] });
    expect([beyond.status, beyond.body['obstacle']]).toEqual([403, 'beyond_yours']);
    const made = await as(admin, 'POST', '/v1/invitations', { login: 'late@kos.example', roles: ['operator'] });
    const taken = await as(admin, 'POST', '/v1/invitations', { login: 'back@kos.example', roles: ['operator'] });
    expect((await as(admin, 'DELETE', `/v1/invitations/${taken.body.id}`)).status).toBe(204);
    expect((await api.call('PATCH', `/v1/members/${admin.principalId}`, { body: { roles: ['viewer'] } })).status).toBe(200);
    for (const invitation of [made, taken])
      expect((await post('/v1/auth/invitations', { token: tokenOf(invitation), name: 'x', password })).body.code).toBe('link_refused');
  });
});

describe('a password', () => {
  it('is refused in the same words for whatever is wrong, and slows guessing without locking anybody out', async () => {
    await api.makeSession({ login: 'grace@kos.example', password });
    const pauses: number[] = [];
    const attempt = (login: string, typed: string) =>
      checkPassword(api.rig.system, { login, password: typed }, async (durationMs) => {
        pauses.push(durationMs);
      }).catch((error: { code: string }) => error.code);
    for (let count = 0; count < 6; count += 1) expect(await attempt('grace@kos.example', 'wrong')).toBe('sign_in_refused');
    expect(pauses).toEqual([0, 0, 0, 500, 1_000, 2_000]);
    expect(await attempt('grace@kos.example', password)).toMatch(/^prn_/);
    expect(await attempt('grace@kos.example', 'wrong')).toBe('sign_in_refused');
    expect(pauses.slice(6)).toEqual([4_000, 0]);
    pauses.length = 0;
    await Promise.all(Array.from({ length: 5 }, () => attempt('nobody@kos.example', 'x')));
    expect(pauses.toSorted((left, right) => left - right)).toEqual([0, 0, 0, 500, 1_000]);
    const unknown = await post('/v1/auth/login', { login: 'unheard-of@kos.example', password: 'x' });
    const wrong = await post('/v1/auth/login', { login: 'grace@kos.example', password: 'x' });
    expect([unknown.status, unknown.body['detail']]).toEqual([401, wrong.body['detail']]);
  });

  it('is stored as Argon2id, changed only with the old one, and ends every other session and token', async () => {
    const session = await api.makeSession({ login: 'linus@kos.example', password });
    const other = await post('/v1/auth/login', { login: 'linus@kos.example', password });
    const tokens = await post('/v1/auth/login', { login: 'linus@kos.example', password, tokens: true });
    const [{ hash } = { hash: '' }] = await api.rig.system.sql<{ hash: string }[]>`select hash from kos.passwords where principal_id = ${session.principalId}`;
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    const blind = await as(session, 'PUT', '/v1/me/password', { password: 'a whole new password' });
    expect([blind.status, blind.body.code]).toEqual([403, 'password_wrong']);
    expect((await as(session, 'PUT', '/v1/me/password', { password: 'a whole new password', currentPassword: password })).status).toBe(200);
    expect((await as(session, 'GET', '/v1/me')).status).toBe(200);
    expect((await me(cookieOf(other))).status).toBe(401);
    expect((await post('/v1/auth/refresh', { refreshToken: tokens.body['refreshToken'] })).status).toBe(401);
  });

  it('is set anew by a link that the installation’s owner hands over', async () => {
    const person = await api.makeSession({ login: 'margaret@kos.example', password });
    const installer = await api.makeSession({ roles: ['owner'], installationRole: 'owner' });
    const made = await as(installer, 'POST', `/v1/people/${person.principalId}/reset`);
    const reset = await post('/v1/auth/resets', { token: tokenOf(made), password: 'yet another password' });
    expect(reset.status).toBe(200);
    expect((await as(person, 'GET', '/v1/me')).status).toBe(401);
    expect((await post('/v1/auth/login', { login: 'margaret@kos.example', password })).status).toBe(401);
    expect((await post('/v1/auth/login', { login: 'margaret@kos.example', password: 'yet another password' })).status).toBe(200);
  });
});

describe('a session', () => {
  const age = (sessionId: string, column: 'last_seen_at' | 'expires_at', interval: string) =>
    api.rig.system.sql`update kos.sessions set ${api.rig.system.sql(column)} = now() - ${interval}::interval where id = ${sessionId}`;

  it('ends after 12 hours of rest, after 30 days, and when it is revoked or signed out', async () => {
    const [idle, old, revoked, out] = await Promise.all(Array.from({ length: 4 }, () => api.makeSession()));
    await age(idle!.sessionId, 'last_seen_at', '12 hours 1 second');
    await age(old!.sessionId, 'expires_at', '1 second');
    expect((await as(revoked!, 'DELETE', `/v1/me/sessions/${revoked!.sessionId}`)).status).toBe(204);
    const signedOut = await as(out!, 'POST', '/v1/auth/logout');
    expect([signedOut.status, signedOut.headers.getSetCookie()[0]]).toEqual([204, expect.stringContaining('Max-Age=0')]);
    for (const session of [idle, old, revoked, out]) expect((await as(session!, 'GET', '/v1/me')).body.code).toBe('credential_refused');
    const [{ days } = { days: 0 }] = await api.rig.system.sql<{ days: number }[]>`
      select round(extract(epoch from max(expires_at) - now()) / 86400)::int as days from kos.sessions`;
    expect(days).toBe(30);
  });

  it('is listed, with the one that asks, and only one’s own can be ended', async () => {
    const [mine, theirs] = [await api.makeSession(), await api.makeSession()];
    const listed = await as(mine, 'GET', '/v1/me/sessions');
    expect(listed.body.items).toMatchObject([{ id: mine.sessionId, method: 'link', userAgent: 'test', current: true }]);
    expect((await as(mine, 'DELETE', `/v1/me/sessions/${theirs.sessionId}`)).status).toBe(404);
    expect((await as(theirs, 'GET', '/v1/me')).status).toBe(200);
  });

  it('gets a new id when roles change; the old one is good for requests on their way, then never', async () => {
    const session = await api.makeSession({ roles: ['viewer'] });
    expect((await api.call('PATCH', `/v1/members/${session.principalId}`, { body: { roles: ['operator'] } })).status).toBe(200);
    const first = await as(session, 'GET', '/v1/me');
    expect(first.body['roles']).toEqual(['operator']);
    const renewed = cookieOf(first);
    expect(renewed).not.toBe(session.headers.cookie);
    const late = await as(session, 'GET', '/v1/me');
    expect([late.status, late.headers.getSetCookie()]).toEqual([200, []]);
    expect((await me(renewed)).headers.getSetCookie()).toEqual([]);
    await api.rig.system.sql`update kos.sessions set previous_until = now() - interval '1 s' where id = ${session.sessionId}`;
    await expect.poll(async () => (await as(session, 'GET', '/v1/me')).status, { timeout: 10_000 }).toBe(401);
    expect((await me(renewed)).status).toBe(200);
  });
});

describe('members', () => {
  it('are changed and removed by admins, but never the last owner', async () => {
    const admin = await api.makeSession({ roles: ['admin'] });
    const member = await api.makeSession({ roles: ['viewer'] });
    const changed = await as(admin, 'PATCH', `/v1/members/${member.principalId}`, { roles: ['approver', 'approver'], disabled: true });
    expect(changed.body).toMatchObject({ roles: ['approver'], disabled: true });
    expect((await as(member, 'GET', '/v1/runs')).body.code).toBe('permission_missing');
    expect((await as(admin, 'DELETE', `/v1/members/${member.principalId}`)).status).toBe(204);
    expect((await as(admin, 'GET', `/v1/members/${member.principalId}`)).status).toBe(404);
    expect((await as(admin, 'DELETE', `/v1/members/${api.owner.principalId}`)).body['obstacle']).toBe('beyond_yours');
    const workspaceId = await api.makeWorkspace();
    const alone = await api.makeSession({ roles: ['owner'], workspaceIds: [workspaceId] });
    for (const [method, body] of [['DELETE'], ['PATCH', { roles: ['admin'] }], ['PATCH', { disabled: true }]] as const)
      expect((await as(alone, method, `/v1/members/${alone.principalId}`, body)).body.code).toBe('last_owner');
  });

  it('take their keys with them, and find none of them when they come back', async () => {
    const { apiKey, principalId } = await api.makeKey({ roles: ['viewer'], scopes: ['runs:read'] });
    expect((await api.call('GET', '/v1/runs', { apiKey })).status).toBe(200);
    expect((await api.call('DELETE', `/v1/members/${principalId}`)).status).toBe(204);
    await api.rig.system.sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${api.owner.workspaceId}, ${principalId}, '["viewer"]')`;
    expect((await api.call('GET', '/v1/runs', { apiKey })).status).toBe(401);
  });
});

describe('workspaces', () => {
  it('are made by the installation’s owner, who owns them at once', async () => {
    const installer = await api.makeSession({ roles: ['owner'], installationRole: 'owner' });
    const made = await as(installer, 'POST', '/v1/workspaces', { slug: 'team-b', name: 'Team B' });
    expect(made.body).toMatchObject({ slug: 'team-b', roles: ['owner'] });
    expect((await as(installer, 'POST', '/v1/workspaces', { slug: 'team-b', name: 'Again' })).body.code).toBe('workspace_exists');
    const renamed = await api.call('PATCH', `/v1/workspaces/${made.body.id}`, {
      apiKey: null,
      headers: { ...installer.headers, 'kos-workspace': made.body.id },
      body: { name: 'Team Bee' },
    });
    expect(renamed.body['name']).toBe('Team Bee');
  });
});

describe('preferences', () => {
  it('are replaced under their ETag only while they are what was read, and without one whatever they are', async () => {
    const viewer = await api.makeSession({ roles: ['viewer'] });
    const read = await as(viewer, 'GET', '/v1/me/preferences');
    const change = (body: object, etag?: string | null): Promise<Answer> =>
      as(viewer, 'PUT', '/v1/me/preferences', body, typeof etag === 'string' ? { 'if-match': etag } : {});
    const etag = read.headers.get('etag');
    expect(etag).toMatch(/^"preferences-[0-9a-f]{64}"$/);
    const both = await Promise.all([change({ theme: 'dark' }, etag), change({ rows: 50 }, etag)]);
    const [made, late] = both.toSorted((one, other) => one.status - other.status);
    expect([made?.status, late?.status]).toEqual([200, 412]);
    expect(late?.body).toMatchObject({ code: 'preferences_changed', fix: expect.stringContaining('Read them again') });
    const now = await as(viewer, 'GET', '/v1/me/preferences');
    expect({ etag: now.headers.get('etag'), body: now.body }).toEqual({ etag: made?.headers.get('etag'), body: made?.body });
    // What got no answer is sent again.
    expect((await change(now.body, etag)).status).toBe(200);
    expect((await change({ rows: 1 }, '"preferences-1"')).status).toBe(412);
    expect((await change({ rows: 1 }, now.headers.get('etag'))).status).toBe(200);
    expect((await change({ rows: 2 })).body).toEqual({ rows: 2 });
  });
});

describe('may I', () => {
  it('answers with what stands in the way and who can help', async () => {
    const viewer = await api.makeSession({ roles: ['viewer'] });
    const answer = await as(viewer, 'GET', '/v1/me/may?action=runs:start');
    expect(answer.body).toMatchObject({ action: 'runs:start', allowed: false, obstacle: 'role', roles: ['operator', 'admin', 'owner'] });
    expect(answer.body['administrators']).not.toEqual([]);
    expect((await as(viewer, 'GET', '/v1/me/may?action=runs:read')).body).toMatchObject({ allowed: true, obstacle: null });
    expect((await as(viewer, 'GET', '/api/v1/user/permissions')).body.permissions).toContain('runs:read');
    expect((await as(viewer, 'GET', '/api/v1/user/profile')).body['roles']).toEqual(['viewer']);
    expect((await as(viewer, 'PUT', '/api/v1/user/preferences', { theme: 'dark' })).body).toEqual({ theme: 'dark' });
    expect((await as(viewer, 'GET', '/v1/me/preferences')).body).toEqual({ theme: 'dark' });
  });
});
