import { readFile } from 'node:fs/promises';
import { KosError } from '#core/errors.ts';

/** How a Temporal that is not ours is talked to, in the words of Temporal's own clients. Certificates and keys are PEM, as a file or as they are. */
export interface TemporalSecuritySettings {
  apiKey: string | undefined;
  /** Undefined: TLS where something below, or an API key, asks for it. */
  tls: boolean | undefined;
  serverCa: PemSource;
  clientCert: PemSource;
  clientKey: PemSource;
  serverName: string | undefined;
}

export interface PemSource {
  path: string | undefined;
  data: string | undefined;
}

/** What the SDK's connections take, beside the address. */
export interface TemporalSecurity {
  apiKey?: string;
  /** False is said, not left out: to the SDK an API key alone asks for TLS. */
  tls?: boolean | { serverNameOverride?: string; serverRootCACertificate?: Buffer; clientCertPair?: { crt: Buffer; key: Buffer } };
}

/** Reads the files that the settings name. Throws KosError `temporal_tls` that names the variable and the remedy. */
export async function readTemporalSecurity(settings: TemporalSecuritySettings): Promise<TemporalSecurity> {
  const [ca, crt, key] = await Promise.all([
    readPem('SERVER_CA_CERT', settings.serverCa),
    readPem('CLIENT_CERT', settings.clientCert),
    readPem('CLIENT_KEY', settings.clientKey),
  ]);
  if ((crt === undefined) !== (key === undefined)) {
    throw tlsFault(
      `A client certificate without its key, or the other way round: ${crt === undefined ? 'TEMPORAL_TLS_CLIENT_CERT' : 'TEMPORAL_TLS_CLIENT_KEY'}_PATH (or …_DATA) is missing.`,
    );
  }
  const parts = {
    ...(settings.serverName === undefined ? {} : { serverNameOverride: settings.serverName }),
    ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
    ...(crt === undefined || key === undefined ? {} : { clientCertPair: { crt, key } }),
  };
  const isAsked = settings.tls ?? (Object.keys(parts).length > 0 || settings.apiKey !== undefined);
  if (!isAsked && Object.keys(parts).length > 0) throw tlsFault('TEMPORAL_TLS is false, and certificates for TLS are named.');
  return {
    ...(settings.apiKey === undefined ? {} : { apiKey: settings.apiKey }),
    ...(isAsked ? { tls: Object.keys(parts).length > 0 ? parts : true } : settings.apiKey === undefined ? {} : { tls: false }),
  };
}

/** For the options of a connection. The embedded server, which no address is configured for, is plain, whatever the environment says for others. */
export async function configuredSecurity(temporal: {
  address: string | undefined;
  security: TemporalSecuritySettings;
}): Promise<{ security?: TemporalSecurity }> {
  return temporal.address === undefined ? {} : { security: await readTemporalSecurity(temporal.security) };
}

async function readPem(name: string, { path, data }: PemSource): Promise<Buffer | undefined> {
  if (path === undefined && data === undefined) return undefined;
  if (path !== undefined && data !== undefined) throw tlsFault(`TEMPORAL_TLS_${name}_PATH and TEMPORAL_TLS_${name}_DATA are both set.`);
  const text =
    path === undefined
      ? Buffer.from(data ?? '')
      : await readFile(path).catch((cause: Error) => Promise.reject(tlsFault(`TEMPORAL_TLS_${name}_PATH cannot be read: ${cause.message}.`)));
  if (text.includes('-----BEGIN ')) return text;
  throw tlsFault(`TEMPORAL_TLS_${name}_${path === undefined ? 'DATA' : 'PATH'} holds no PEM ("-----BEGIN …").`);
}

const tlsFault = (message: string): KosError =>
  new KosError({ code: 'temporal_tls', message, fix: 'Set the variables as the temporal command takes them: README, "Configuration".', status: 400 });
