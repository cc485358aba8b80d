import { isIP } from 'node:net';

/** A host as URLs spell it (lower case, no trailing dot, IPv4 in dotted decimal, IPv6 in brackets) and a port. */
export interface Endpoint {
  host: string;
  port: number;
}

/** `host:port`, the form of the workspace setting. */
export const endpointText = (endpoint: Endpoint): string => `${endpoint.host}:${endpoint.port}`;

/**
 * Reads a host in any notation that a URL accepts (decimal, octal, hex, short, full-width, percent-encoded, mapped IPv6) into the one that
 * is compared. Null when no URL could carry it.
 */
export function canonicalHost(host: string): string | null {
  const bracketed = isIP(host) === 6 ? `[${host}]` : host;
  if (/[/?#@\\\s]/.test(bracketed) || (bracketed.includes(':') && !/^\[[^\]]*\]$/.test(bracketed))) return null;
  const parsed = URL.parse(`http://${bracketed}/`);
  if (parsed === null) return null;
  const name = parsed.hostname.replace(/\.$/, '');
  return name === '' ? null : name;
}

/** The endpoint of an http or https URL, or null for another scheme. */
export function endpointOf(url: URL): Endpoint | null {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  const host = canonicalHost(url.hostname);
  if (host === null) return null;
  const defaultPort = url.protocol === 'https:' ? 443 : 80;
  return { host, port: url.port === '' ? defaultPort : Number(url.port) };
}

/** True for an address written out, not a name. */
export const isAddressLiteral = (host: string): boolean => isIP(host.replace(/^\[|\]$/g, '')) !== 0;

function splitEntry(entry: string): { host: string; port: number } | null {
  const match = /^(.+):(\d{1,5})$/.exec(entry.trim().toLowerCase());
  return match?.[1] === undefined ? null : { host: match[1], port: Number(match[2]) };
}

/** True when an entry names this host and port itself, no pattern. */
export function allowedExactly(allow: readonly string[], endpoint: Endpoint): boolean {
  return allow.some((entry) => {
    const parts = splitEntry(entry);
    return parts !== null && parts.port === endpoint.port && !parts.host.startsWith('*.') && canonicalHost(parts.host) === endpoint.host;
  });
}

/** True when an entry names this endpoint, or is `*.suffix:port` and the host is a name below that suffix. Addresses match no pattern. */
export function allowedByName(allow: readonly string[], endpoint: Endpoint): boolean {
  if (allowedExactly(allow, endpoint)) return true;
  if (isAddressLiteral(endpoint.host)) return false;
  return allow.some((entry) => {
    const parts = splitEntry(entry);
    return parts !== null && parts.port === endpoint.port && parts.host.startsWith('*.') && endpoint.host.endsWith(parts.host.slice(1));
  });
}

/** Top-level names that nobody can register: they can only resolve inside the own network (RFC 6761, 6762, 8375, 9476; ICANN for .internal). */
const localSuffixes = ['.localhost', '.local', '.internal', '.home.arpa', '.lan', '.test'];

/**
 * True for names that mean the own network by themselves, so that allowing them is allowing a private address. A name of the public DNS
 * is answered by whoever holds it, and that answer may change to 127.0.0.1 after it was allowed (DNS rebinding).
 */
export const isLocalName = (host: string): boolean => !isAddressLiteral(host) && (!host.includes('.') || localSuffixes.some((suffix) => host.endsWith(suffix)));
