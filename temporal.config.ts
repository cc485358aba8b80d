import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** The only reader of the environment. Every other module receives this object, or a part of it. */
export const projectRoot = dirname(fileURLToPath(import.meta.url));

/** What this process was started with: entries hand it to readConfiguration, and on to the processes they start. */
export const environment: Record<string, string | undefined> = process.env;

const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https address, such as https://example.com:8443' });
const portNeeded = { error: 'must be a port: a whole number from 0 to 65535' };

function isEncryptedOrLocal(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

const environmentSchema = z.object({
  KOS_HOME: z.string().optional(),
  KOS_PORT: z.coerce.number(portNeeded).int(portNeeded).min(0, portNeeded).max(65_535, portNeeded).default(3000),
  KOS_HOST: z.string().default('127.0.0.1'),
  KOS_PUBLIC_URL: httpUrl.transform((url) => url.replace(/\/+$/, '')).optional(),
  KOS_TRUSTED_PROXIES: z.string().default(''),
  KOS_CODEC_ORIGINS: z.string().default(''),
  KOS_INSECURE: z.enum(['0', '1']).default('0'),
  TEMPORAL_ADDRESS: z.string().optional(),
  TEMPORAL_NAMESPACE: z.string().default('default'),
  TEMPORAL_API_KEY: z.string().optional(),
  TEMPORAL_TLS: z.enum(['true', 'false']).optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: z.string().optional(),
  TEMPORAL_TLS_SERVER_CA_CERT_DATA: z.string().optional(),
  TEMPORAL_TLS_CLIENT_CERT_PATH: z.string().optional(),
  TEMPORAL_TLS_CLIENT_CERT_DATA: z.string().optional(),
  TEMPORAL_TLS_CLIENT_KEY_PATH: z.string().optional(),
  TEMPORAL_TLS_CLIENT_KEY_DATA: z.string().optional(),
  TEMPORAL_TLS_SERVER_NAME: z.string().optional(),
  DATABASE_URL: z.string().optional(),
  DATABASE_URL_DIRECT: z.string().optional(),
  KOS_OIDC_ISSUER: httpUrl.refine(isEncryptedOrLocal, 'must be https, but for a provider on this machine').optional(),
  KOS_OIDC_CLIENT_ID: z.string().optional(),
  KOS_OIDC_CLIENT_SECRET: z.string().optional(),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: httpUrl.optional(),
  XDG_CACHE_HOME: z.string().optional(),
  KOS_PART_FACTS: z.string().optional(),
  KOS_URL: httpUrl.optional(),
  KOS_API_KEY: z.string().optional(),
  KOS_LOCAL: z.enum(['0', '1']).default('0'),
});

interface Pem {
  path: string | undefined;
  data: string | undefined;
}

export interface Configuration {
  home: string;
  port: number;
  host: string;
  publicUrl: string | undefined;
  insecure: boolean;
  temporal: {
    address: string | undefined;
    namespace: string;
    /** Of a server of somebody's own (services/temporal/security.ts); the embedded one needs none. */
    security: {
      apiKey: string | undefined;
      tls: boolean | undefined;
      serverCa: Pem;
      clientCert: Pem;
      clientKey: Pem;
      serverName: string | undefined;
    };
  };
  /** Configured database; undefined means the embedded one. `direct` bypasses a pooler for LISTEN. */
  database: { url: string | undefined; directUrl: string | undefined };
  openai: { apiKey: string | undefined; baseUrl: string | undefined };
  /** Addresses or subnets of proxies in front of the API, whose word on a client's address is taken. */
  trustedProxies: string[];
  /** Origins of Temporal's own UI, whose pages may have payloads opened. */
  codecOrigins: string[];
  /** The OpenID provider that people may sign in at; undefined: none. Without a secret it is a public client, which PKCE alone protects. */
  oidc: { issuer: string; clientId: string; clientSecret: string | undefined } | undefined;
  /** Which server `kai` talks to, and as whom; undefined means what `$KOS_HOME/cli.json` says. */
  cli: {
    url: string | undefined;
    apiKey: string | undefined;
    /** Leave `kai login` out: the installation of this `$KOS_HOME`. */
    local: boolean;
  };
  /** File in which the supervisor tells worker and API what it has started (services/embedded/part.ts); private to them. */
  partFacts: string | undefined;
  /** Per-user folder for what all checkouts share (the Temporal binary). */
  cache: string;
}

/** Wrong values in the environment; the message names every one. */
export class EnvironmentError extends Error {}

/** Reads and checks the environment. Throws EnvironmentError. */
export function readConfiguration(environment: Record<string, string | undefined>): Configuration {
  const parsed = environmentSchema.safeParse(withoutEmpty(environment));
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new EnvironmentError(`The environment has wrong values:\n  ${faults.join('\n  ')}`);
  }
  const env = parsed.data;
  return {
    home: resolve(projectRoot, env.KOS_HOME ?? '.kos'),
    port: env.KOS_PORT,
    host: env.KOS_HOST,
    publicUrl: env.KOS_PUBLIC_URL,
    insecure: env.KOS_INSECURE === '1',
    temporal: { address: env.TEMPORAL_ADDRESS, namespace: env.TEMPORAL_NAMESPACE, security: readTemporalSecurity(env) },
    database: { url: env.DATABASE_URL, directUrl: env.DATABASE_URL_DIRECT },
    trustedProxies: readProxies(env.KOS_TRUSTED_PROXIES),
    codecOrigins: readOrigins(env.KOS_CODEC_ORIGINS),
    oidc: readOidc(env),
    openai: { apiKey: env.OPENAI_API_KEY, baseUrl: env.OPENAI_BASE_URL },
    cli: { url: env.KOS_URL, apiKey: env.KOS_API_KEY, local: env.KOS_LOCAL === '1' },
    partFacts: env.KOS_PART_FACTS,
    cache: join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kos'),
  };
}

const listed = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Exactly as browsers send them: no path, no wildcard. */
function readOrigins(text: string): string[] {
  const origins = listed(text);
  const wrong = origins.find((origin) => !/^https?:\/\//.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin);
  if (wrong !== undefined)
    throw new EnvironmentError(`KOS_CODEC_ORIGINS: ${wrong} is no origin, such as http://127.0.0.1:8233 (scheme, host and port, nothing after them).`);
  return origins;
}

function readProxies(text: string): string[] {
  const places = listed(text);
  const wrong = places.find((place) => isIP(place.split('/')[0] ?? '') === 0 || !/^[^/]+(\/[0-9]{1,3})?$/.test(place));
  if (wrong !== undefined) throw new EnvironmentError(`KOS_TRUSTED_PROXIES: ${wrong} is no address or subnet, such as 10.0.0.5 or 10.0.0.0/24.`);
  return places;
}

function readTemporalSecurity(env: z.infer<typeof environmentSchema>): Configuration['temporal']['security'] {
  return {
    apiKey: env.TEMPORAL_API_KEY,
    tls: env.TEMPORAL_TLS === undefined ? undefined : env.TEMPORAL_TLS === 'true',
    serverCa: { path: env.TEMPORAL_TLS_SERVER_CA_CERT_PATH, data: env.TEMPORAL_TLS_SERVER_CA_CERT_DATA },
    clientCert: { path: env.TEMPORAL_TLS_CLIENT_CERT_PATH, data: env.TEMPORAL_TLS_CLIENT_CERT_DATA },
    clientKey: { path: env.TEMPORAL_TLS_CLIENT_KEY_PATH, data: env.TEMPORAL_TLS_CLIENT_KEY_DATA },
    serverName: env.TEMPORAL_TLS_SERVER_NAME,
  };
}

function readOidc(env: z.infer<typeof environmentSchema>): Configuration['oidc'] {
  const { KOS_OIDC_ISSUER: issuer, KOS_OIDC_CLIENT_ID: clientId, KOS_OIDC_CLIENT_SECRET: clientSecret } = env;
  if (issuer === undefined && clientId === undefined) return undefined;
  if (issuer === undefined || clientId === undefined)
    throw new EnvironmentError('KOS_OIDC_ISSUER and KOS_OIDC_CLIENT_ID belong together: one of them is missing.');
  return { issuer, clientId, clientSecret };
}

/** `KOS_PORT=` means what no KOS_PORT means, not port 0. */
function withoutEmpty(environment: Record<string, string | undefined>): Record<string, string> {
  const trimmed = Object.entries(environment).map(([name, value]) => [name, value?.trim() ?? ''] as const);
  return Object.fromEntries(trimmed.filter(([, value]) => value !== ''));
}
