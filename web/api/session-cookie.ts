import { absoluteDays } from '#services/people/sessions.ts';

/** The cookies of one installation, so that two on one host (another port is the same host to a browser) do not sign each other out. */
export interface SessionCookie {
  name: string;
  read(cookieHeader: string | undefined): string | undefined;
  /** The value of `Set-Cookie`. */
  set(token: string): string;
  clear(): string;
  /** Of the browser that is at the OpenID provider. */
  flow: { read(cookieHeader: string | undefined): string | undefined; set(token: string): string; clear(): string };
}

const daySeconds = 86_400;
/** An OpenID sign-in takes no longer, in seconds. */
export const flowSeconds = 600;

/** `installation`: the name of its log. Over https the prefix `__Host-` lets no other host or path set the cookie. */
export function makeSessionCookie(options: { installation: string; publicUrl: string }): SessionCookie {
  const isSecure = options.publicUrl.startsWith('https://');
  const name = `${isSecure ? '__Host-' : ''}kos_${options.installation.replaceAll(/[^0-9a-z]/gi, '').slice(-12)}`;
  const flowName = `${name}_oidc`;
  // Lax: a link from elsewhere opens kOS signed in; whatever changes something is guarded by Origin.
  const attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`;
  const cookie = (of: string, value: string, maxAgeSeconds: number): string => `${of}=${value}; ${attributes}; Max-Age=${maxAgeSeconds}`;
  return {
    name,
    read: (header) => readCookie(header, name),
    set: (token) => cookie(name, token, absoluteDays * daySeconds),
    clear: () => cookie(name, '', 0),
    flow: {
      read: (header) => readCookie(header, flowName),
      set: (token) => cookie(flowName, token, flowSeconds),
      clear: () => cookie(flowName, '', 0),
    },
  };
}

/** RFC 6265 §4.2.1; our own values hold no quotes and no escapes. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of (header ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}
