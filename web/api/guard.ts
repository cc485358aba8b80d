import type { Request } from 'express';
import { KosError } from '#core/errors.ts';
import { decide, explainDenial } from '#core/policy/can.ts';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import { type Authenticator, type SignedIn, workspaceRefused } from '#services/credentials/authenticate.ts';
import { contentTypeOf, isJsonType } from './body.ts';
import type { Route } from './route.ts';
import type { SessionCookie } from './session-cookie.ts';

/** Node's own cap of 16 kB holds for all headers together; this one for the address alone, in bytes. */
const longestUrl = 8_192;

/** Names under which this server may be asked for: its public URL's, and loopback's with its port. Anything else is DNS rebinding or a mistake. */
export function makeHostCheck(places: { publicUrl: string; port: number }): (host: string | undefined) => void {
  const allowed = new Set([new URL(places.publicUrl).host.toLowerCase(), ...['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${places.port}`)]);
  // Clients leave out the port that their scheme implies.
  if (places.port === 80) for (const name of ['127.0.0.1', 'localhost', '[::1]']) allowed.add(name);
  return (host) => {
    if (host !== undefined && allowed.has(host.toLowerCase())) return;
    throw new KosError({
      code: 'host_refused',
      message: `This server does not answer for the host ${JSON.stringify((host ?? '').slice(0, 200))}.`,
      fix: `Use ${places.publicUrl}, or set KOS_PUBLIC_URL to the address that people use.`,
      status: 421,
    });
  };
}

export function assertUrlLength(url: string): void {
  if (Buffer.byteLength(url) > longestUrl)
    throw new KosError({ code: 'url_too_long', message: `The address is longer than ${longestUrl} bytes.`, status: 414 });
}

export interface Door {
  authenticator: Authenticator;
  cookie: SessionCookie;
  publicUrl: string;
}

/**
 * Who asks: by `Authorization` where there is one, else by the session's cookie. Throws KosError `credential_missing`, `credential_refused` (401),
 * `workspace_required` (400), `workspace_refused`, `origin_refused` (403), `media_type_unsupported` (415).
 */
export async function authenticate(request: Request, door: Door, route: Pick<Route, 'method' | 'workspace' | 'crossOrigin'>): Promise<SignedIn> {
  const wanted = wantedWorkspace(request, route);
  const header = request.headers.authorization;
  if (header !== undefined) return { principal: await authenticateBearer(header, wanted, door), newToken: null };
  const cookie = door.cookie.read(request.headers.cookie);
  if (cookie === undefined) throw unauthenticated('credential_missing', 'This request carries no credential.');
  if (isChange(request)) assertFromOurPages(request, door.publicUrl, route.crossOrigin);
  const signedIn = await door.authenticator.authenticateSession(cookie, { wanted, optional: route.workspace === 'optional' });
  if (signedIn === null) throw unauthenticated('credential_refused', 'Your session has ended.');
  return signedIn;
}

async function authenticateBearer(header: string, wanted: string | null, door: Door): Promise<Principal> {
  const credential = /^Bearer +([\x21-\x7e]{1,4096})$/i.exec(header)?.[1];
  const principal = credential === undefined ? null : await door.authenticator.authenticateBearer(credential);
  if (principal === null) throw unauthenticated('credential_refused', 'The credential of this request is unknown, revoked or expired.');
  if (wanted !== null && wanted !== principal.workspaceId) throw workspaceRefused();
  return principal;
}

/** EventSource can send no header, so streams name it in the address. */
function wantedWorkspace(request: Request, route: Pick<Route, 'method'>): string | null {
  const { workspace } = request.query;
  const inAddress = route.method === 'get' && typeof workspace === 'string' ? workspace : undefined;
  return request.get('kos-workspace') ?? inAddress ?? null;
}

const isChange = (request: Pick<Request, 'method'>): boolean => !['GET', 'HEAD'].includes(request.method);

/**
 * Cookies come along by themselves, whoever wrote the page that asks. So a change must say that it comes from our own pages, and be JSON, which no
 * form of another site can send. Throws KosError `origin_refused` (403), `media_type_unsupported` (415).
 */
function assertFromOurPages(request: Request, publicUrl: string, others: readonly string[]): void {
  const { origin } = request.headers;
  if (origin === undefined || (origin !== new URL(publicUrl).origin && !others.includes(origin))) throw originRefused(publicUrl);
  const type = contentTypeOf(request);
  const hasNoBody = request.method === 'DELETE' && type === '';
  if (!hasNoBody && !isJsonType(type))
    throw new KosError({
      code: 'media_type_unsupported',
      message: 'A change by a session must be JSON.',
      fix: 'Send Content-Type: application/json.',
      status: 415,
    });
}

/** Of public routes, which may set a cookie: another site's page must not sign its reader in as somebody else. */
export function assertNotFromElsewhere(request: Pick<Request, 'method' | 'headers'>, publicUrl: string): void {
  const { origin } = request.headers;
  if (isChange(request) && origin !== undefined && origin !== new URL(publicUrl).origin) throw originRefused(publicUrl);
}

/** Of WebSockets, which no browser asks about another site's pages: a cookie comes along by itself, so its page must be ours. Programs send no Origin. */
export function assertSocketOrigin(origin: string | undefined, { via, publicUrl }: { via: Principal['via']; publicUrl: string }): void {
  if (origin === undefined && via !== 'session') return;
  if (origin !== new URL(publicUrl).origin) throw originRefused(publicUrl);
}

/** Said to sessions, sign-ins, sockets and MCP clients alike. */
const originRefused = (publicUrl: string): KosError =>
  new KosError({
    code: 'origin_refused',
    message: 'The Origin of this request is no page of this server, or it names none and comes with a cookie.',
    fix: `In a browser, use ${publicUrl} itself; programs send no Origin, and an API key instead of a cookie.`,
    status: 403,
  });

const unauthenticated = (code: string, message: string): KosError =>
  new KosError({
    code,
    message,
    fix: 'Send Authorization: Bearer with a key (kai key create; cli.json in KOS_HOME has the owner’s), or sign in: kai open.',
    status: 401,
  });

/** Throws KosError `permission_missing` (403) that names who can grant it. `administrators` is asked only then. */
export async function authorise(principal: Principal, permission: Permission, administrators: () => Promise<string[]>): Promise<void> {
  const verdict = decide(principal, permission);
  if (verdict.allowed) return;
  const { message, fix } = explainDenial(permission, verdict.obstacle);
  const names = await administrators();
  throw new KosError({
    code: 'permission_missing',
    message,
    fix: `${fix} Who can grant it: ${names.join(', ') || 'an owner of this workspace'}.`,
    status: 403,
    extra: { permission, obstacle: verdict.obstacle },
  });
}
