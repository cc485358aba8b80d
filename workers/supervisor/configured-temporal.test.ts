import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { readConfiguration } from '#config';
import { checkConfiguredTemporal } from './configured-temporal.ts';

const check = (environment: Record<string, string>): Promise<void> => checkConfiguredTemporal(readConfiguration(environment).temporal);

describe('a Temporal of somebody else', () => {
  it.each(['temporal.example.com', 'http://temporal:7233', 'host:0', 'host:70000', 'a b:7233', '::1:7233'])('at "%s" has no address', async (address) => {
    await expect(check({ TEMPORAL_ADDRESS: address })).rejects.toMatchObject({ code: 'temporal_address', message: expect.stringContaining(address) });
  });

  it('that does not answer is named, with the reason', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(check({ TEMPORAL_ADDRESS: address })).resolves.toBeUndefined();
    server.close();
    await once(server, 'close');
    await expect(check({ TEMPORAL_ADDRESS: address })).rejects.toMatchObject({
      code: 'temporal_unreachable',
      message: expect.stringMatching(new RegExp(`${address}.*ECONNREFUSED`)),
      fix: expect.stringContaining('TEMPORAL_ADDRESS'),
    });
  });

  it('whose certificates cannot be read is not asked', async () => {
    await expect(check({ TEMPORAL_ADDRESS: '127.0.0.1:1', TEMPORAL_TLS_SERVER_CA_CERT_PATH: '/nowhere/ca.pem' })).rejects.toMatchObject({
      code: 'temporal_tls',
    });
  });
});
