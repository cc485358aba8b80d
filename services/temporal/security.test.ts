import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfiguration } from '#config';
import { readTemporalSecurity } from './security.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-tls-'));
  for (const name of ['ca', 'crt', 'key']) await writeFile(join(folder, name), `-----BEGIN ${name}-----\n`);
  await writeFile(join(folder, 'none'), 'no certificate');
});
afterAll(() => rm(folder, { recursive: true }));

const read = (environment: Record<string, string>) => readTemporalSecurity(readConfiguration(environment).temporal.security);
const at = (name: string): string => join(folder, name);

describe('how a Temporal of somebody else is talked to', () => {
  it('is plain where nothing is said', async () => {
    expect(await read({})).toEqual({});
    expect(await read({ TEMPORAL_TLS: 'false' })).toEqual({});
  });

  it('is TLS where an API key, a certificate or the variable asks for it', async () => {
    expect(await read({ TEMPORAL_API_KEY: 'secret' })).toEqual({ apiKey: 'secret', tls: true });
    expect(await read({ TEMPORAL_API_KEY: 'secret', TEMPORAL_TLS: 'false' })).toEqual({ apiKey: 'secret', tls: false });
    expect(await read({ TEMPORAL_TLS: 'true' })).toEqual({ tls: true });
    expect(
      await read({
        TEMPORAL_TLS_SERVER_CA_CERT_PATH: at('ca'),
        TEMPORAL_TLS_CLIENT_CERT_PATH: at('crt'),
        TEMPORAL_TLS_CLIENT_KEY_DATA: '-----BEGIN key-----',
        TEMPORAL_TLS_SERVER_NAME: 'temporal.example.com',
      }),
    ).toEqual({
      tls: {
        serverNameOverride: 'temporal.example.com',
        serverRootCACertificate: Buffer.from('-----BEGIN ca-----\n'),
        clientCertPair: { crt: Buffer.from('-----BEGIN crt-----\n'), key: Buffer.from('-----BEGIN key-----') },
      },
    });
  });

  it.each([
    [{ TEMPORAL_TLS_CLIENT_CERT_PATH: 'crt' }, 'TEMPORAL_TLS_CLIENT_KEY_PATH (or …_DATA) is missing'],
    [{ TEMPORAL_TLS_SERVER_CA_CERT_PATH: 'nowhere' }, 'TEMPORAL_TLS_SERVER_CA_CERT_PATH cannot be read'],
    [{ TEMPORAL_TLS_SERVER_CA_CERT_PATH: 'none' }, 'TEMPORAL_TLS_SERVER_CA_CERT_PATH holds no PEM'],
    [{ TEMPORAL_TLS_SERVER_CA_CERT_PATH: 'ca', TEMPORAL_TLS: 'false' }, 'TEMPORAL_TLS is false'],
  ])('refuses %j', async (environment, message) => {
    const placed = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, name.endsWith('_PATH') ? at(value) : value]));
    await expect(read(placed)).rejects.toMatchObject({ code: 'temporal_tls', message: expect.stringContaining(message), fix: expect.any(String) });
  });
});
