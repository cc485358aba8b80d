import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

export interface OpenIdProvider {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Signs in at the provider as a browser would, and gives the address that it sends the browser back to. */
  signIn(url: string, login: string): Promise<URL>;
  close(): Promise<void>;
}

/** A real OpenID provider on this machine. `people`: what it says about each login; the login is the subject. */
export async function startOpenIdProvider(options: {
  redirectUri: string;
  people: Record<string, { name: string; email: string; email_verified: boolean }>;
}): Promise<OpenIdProvider> {
  const [clientId, clientSecret] = ['kos', 'secret-of-the-client-for-the-test'];
  let handle: ReturnType<Provider['callback']> | null = null;
  const server: Server = createServer((request, response) => void handle?.(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [options.redirectUri], grant_types: ['authorization_code'] }],
    claims: { email: ['email', 'email_verified'], profile: ['name'] },
    cookies: { keys: ['the test'] },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, ...options.people[sub] }) }),
  });
  handle = provider.callback();
  return {
    issuer,
    clientId,
    clientSecret,
    signIn: (url, login) => walk(url, login, issuer),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Follows redirects inside the provider, fills in its two forms (login, consent), and stops where it leads elsewhere. */
async function walk(start: string, login: string, issuer: string): Promise<URL> {
  const jar = new Map<string, string>();
  let next = new URL(start);
  let form: URLSearchParams | null = null;
  for (let hop = 0; hop < 12; hop += 1) {
    if (next.origin !== issuer) return next;
    const response: Response = await fetch(next, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === null ? {} : { method: 'POST', body: form }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=');
      jar.set(name, value);
    }
    const location = response.headers.get('location');
    const page = await response.text();
    form = null;
    if (location !== null) next = new URL(location, next);
    else if (page.includes('name="login"')) form = new URLSearchParams({ prompt: 'login', login, password: 'any' });
    else if (page.includes('value="consent"')) form = new URLSearchParams({ prompt: 'consent' });
    else throw new Error(`The provider answered ${response.status}: ${page.slice(0, 500)}`);
  }
  throw new Error('The provider led round in circles.');
}
