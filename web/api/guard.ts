import type { IncomingMessage } from 'node:http';
import { KosError } from '#core/errors.ts';
import { type Permission, rolesThatGrant } from '#core/policy/permissions.ts';
import { can, type Principal } from '#core/policy/principal.ts';
import type { Authenticator } from '#services/credentials/authenticate.ts';

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

/** Throws KosError `credential_missing` or `credential_refused` (401). */
export async function authenticate(request: IncomingMessage, authenticator: Authenticator): Promise<Principal> {
  const header = request.headers.authorization;
  if (header === undefined) {
    throw unauthenticated('credential_missing', 'This request carries no credential.');
  }
  const apiKey = /^Bearer +([\x21-\x7e]{1,512})$/i.exec(header)?.[1];
  const principal = apiKey === undefined ? null : await authenticator.authenticate(apiKey);
  if (principal === null) throw unauthenticated('credential_refused', 'The credential of this request is unknown, revoked or expired.');
  return principal;
}

const unauthenticated = (code: string, message: string): KosError =>
  new KosError({
    code,
    message,
    fix: 'Send Authorization: Bearer with the key from cli.json in KOS_HOME; every start of kOS makes sure that it is valid.',
    status: 401,
  });

/** Throws KosError `permission_missing` (403) that names who can grant it. `administrators` is asked only then. */
export async function authorise(principal: Principal, permission: Permission, administrators: () => Promise<string[]>): Promise<void> {
  if (can(principal, permission)) return;
  const names = await administrators();
  throw new KosError({
    code: 'permission_missing',
    message: `This needs the permission ${permission}, which your credential does not have.`,
    fix: `It comes with the role ${rolesThatGrant(permission).join(' or ')}. Who can grant it: ${names.join(', ') || 'an owner of this workspace'}.`,
    status: 403,
    extra: { permission },
  });
}
