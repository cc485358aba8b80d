import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { chooseAddress, isLoopback } from './network.ts';

const wish = { host: '127.0.0.1', port: 0, publicUrl: undefined, insecure: false };

test.each([
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['192.168.0.1', false],
  ['127.example.com', false],
])('%s is the loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

test('port 0 becomes a free port, and the address is what people are told', async () => {
  const address = await chooseAddress(wish);
  expect(address.port).toBeGreaterThan(0);
  expect(address).toMatchObject({ localUrl: `http://127.0.0.1:${address.port}`, publicUrl: address.localUrl });
});

test('a port in use is named with its remedy', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await expect(chooseAddress({ ...wish, port })).rejects.toMatchObject({
    code: 'port_in_use',
    message: expect.stringContaining(String(port)),
    fix: expect.stringContaining('--port'),
  });
  other.close();
});

test("an address that is not this machine's is named with its remedy", async () => {
  await expect(chooseAddress({ ...wish, host: '192.0.2.1', port: 3000, insecure: true })).rejects.toMatchObject({
    code: 'host_unusable',
    message: expect.stringContaining('192.0.2.1'),
  });
});

test('a host that others reach needs https in front, or an explicit word', async () => {
  const open = { ...wish, host: '0.0.0.0' };
  await expect(chooseAddress(open)).rejects.toMatchObject({ code: 'insecure_host' });
  await expect(chooseAddress({ ...open, publicUrl: 'http://kos.example.com' })).rejects.toMatchObject({ code: 'insecure_host' });
  await expect(chooseAddress({ ...open, publicUrl: 'https://kos.example.com' })).resolves.toMatchObject({ publicUrl: 'https://kos.example.com' });
  await expect(chooseAddress({ ...open, insecure: true })).resolves.toMatchObject({ host: '0.0.0.0' });
});
