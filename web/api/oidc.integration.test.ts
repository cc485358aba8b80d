import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenIdProvider, startOpenIdProvider } from '#tests/rig/openid-provider.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let provider: OpenIdProvider;
let api: TestApi;

const publicUrl = 'https://kos.example';
const redirectUri = `${publicUrl}/v1/auth/oidc/callback`;

beforeAll(async () => {
  const person = (name: string, email = `${name}@kos.example`, email_verified = true) => ({ name, email, email_verified });
  provider = await startOpenIdProvider({
    redirectUri,
    people: {
      ada: person('ada'),
      grace: person('grace'),
      linus: person('linus'),
      // Says that it is somebody else's address.
      eve: person('eve', 'margaret@kos.example', false),
      mallory: person('mallory', 'mallory@kos.example'),
      margaret: person('margaret'),
    },
  });
  const { issuer, clientId, clientSecret } = provider;
  api = await makeTestApi({ publicUrl, oidc: () => ({ issuer, clientId, clientSecret, redirectUri }) });
});

afterAll(async () => {
  await api.close();
  await provider.close();
});

const begin = (path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  api.call('POST', path, { apiKey: null, body, headers: { origin: publicUrl, ...headers } });

const cookiesOf = (answer: Answer): string =>
  answer.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ');

/** The browser comes back from the provider. */
const comeBack = async (callback: URL, cookie: string): Promise<Answer> => {
  const response = await fetch(`${api.url}${callback.pathname}${callback.search}`, { redirect: 'manual', headers: { cookie } });
  return { status: response.status, headers: response.headers, text: '', body: {} as Answer['body'] };
};

async function signInAs(login: string, body: object = {}): Promise<Answer> {
  const begun = await begin('/v1/auth/oidc/start', body);
  return comeBack(await provider.signIn(String(begun.body['url']), login), cookiesOf(begun));
}

const invitationFor = async (login: string): Promise<string> => {
  const made = await api.call('POST', '/v1/invitations', { body: { login, roles: ['operator'] } });
  return String(made.body['url']).split('=').at(-1) ?? '';
};

const me = (cookie: string): Promise<Answer> => api.call('GET', '/v1/me', { apiKey: null, headers: { cookie } });
const whereTo = (answer: Answer): string | null => answer.headers.get('location');

describe('signing in at an OpenID provider', () => {
  it('asks with PKCE, state and nonce, and keeps the flow to the browser that began it', async () => {
    const begun = await begin('/v1/auth/oidc/start', {});
    const url = new URL(String(begun.body['url']));
    expect(url.origin).toBe(provider.issuer);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      redirect_uri: redirectUri,
      scope: 'openid profile email',
    });
    for (const name of ['state', 'nonce', 'code_challenge']) expect(url.searchParams.get(name)).toMatch(/^[\w-]{43}$/);
    expect(begun.headers.getSetCookie()[0]).toMatch(/_oidc=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=600$/);
  });

  it('gives nobody an account by itself', async () => {
    const answer = await signInAs('mallory');
    expect([answer.status, whereTo(answer)]).toEqual([303, '/sign-in#error=no_account']);
    expect((await me(cookiesOf(answer))).status).toBe(401);
    const [{ count } = { count: -1 }] = await api.rig.system.sql<{ count: number }[]>`select count(*)::int as count from kos.principals where name = 'mallory'`;
    expect(count).toBe(0);
  });

  it('makes an account by an invitation, and finds it by issuer and subject ever after', async () => {
    const invited = await signInAs('ada', { invitation: await invitationFor('ada@kos.example') });
    expect([invited.status, whereTo(invited)]).toEqual([303, '/sign-in']);
    const first = await me(cookiesOf(invited));
    expect(first.body).toMatchObject({ principal: { name: 'ada' }, roles: ['operator'], via: 'session', login: 'ada@kos.example' });
    const again = await me(cookiesOf(await signInAs('ada')));
    expect(again.body['principal']).toEqual(first.body['principal']);
  });

  it('links an account that exists only by an invitation, and only to its verified address', async () => {
    const workspaceId = await api.makeWorkspace();
    const there = await api.makeKey({ roles: ['owner'], workspaceId, scopes: ['members:write'] });
    const { principalId } = await api.makeSession({ login: 'margaret@kos.example' });
    const invitation = async (): Promise<string> => {
      const made = await api.call('POST', '/v1/invitations', { apiKey: there.apiKey, body: { login: 'margaret@kos.example', roles: ['viewer'] } });
      return String(made.body['url']).split('=').at(-1) ?? '';
    };
    expect(whereTo(await signInAs('margaret'))).toBe('/sign-in#error=no_account');
    expect(whereTo(await signInAs('eve', { invitation: await invitation() }))).toBe('/sign-in#error=no_account');
    const own = await signInAs('margaret', { invitation: await invitation() });
    expect((await me(cookiesOf(own))).body['principal']).toMatchObject({ id: principalId });
  });

  it('adds an identity to whoever is signed in', async () => {
    const session = await api.makeSession();
    const begun = await begin('/v1/me/identities', {}, session.headers);
    const back = await comeBack(await provider.signIn(String(begun.body['url']), 'linus'), cookiesOf(begun));
    expect(whereTo(back)).toBe('/sign-in');
    expect((await me(cookiesOf(await signInAs('linus')))).body['principal']).toMatchObject({ id: session.principalId });
  });

  it('refuses a flow of another browser, a second time, and a forged answer', async () => {
    const begun = await begin('/v1/auth/oidc/start', { invitation: await invitationFor('grace@kos.example') });
    const callback = await provider.signIn(String(begun.body['url']), 'grace');
    const other = await begin('/v1/auth/oidc/start', {});
    expect(whereTo(await comeBack(callback, cookiesOf(other)))).toBe('/sign-in#error=oidc_refused');
    expect(whereTo(await comeBack(callback, ''))).toBe('/sign-in#error=oidc_refused');
    const forged = new URL(callback);
    forged.searchParams.set('code', 'x'.repeat(43));
    expect(whereTo(await comeBack(forged, cookiesOf(begun)))).toBe('/sign-in#error=oidc_refused');
    // The flow is spent, with the right code too.
    expect(whereTo(await comeBack(callback, cookiesOf(begun)))).toBe('/sign-in#error=oidc_refused');
  });

  it('keeps a disabled person out', async () => {
    const answer = await signInAs('ada');
    const { id } = (await me(cookiesOf(answer))).body['principal'] as { id: string };
    expect((await api.call('PATCH', `/v1/people/${id}`, { body: { disabled: true } })).status).toBe(200);
    expect((await me(cookiesOf(answer))).status).toBe(401);
    expect(whereTo(await signInAs('ada'))).toBe('/sign-in#error=no_account');
  });
});
