import { type AddressInfo, createServer, type Server } from 'node:net';
import fc from 'fast-check';
import { fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import { classifyAddress, isThisHost } from '#services/egress/address.ts';
import { canonicalHost, isAddressLiteral } from '#services/egress/allow-list.ts';
import { refusalInside } from '#services/egress/fetch.ts';
import { checkPeer, createGuardedDispatcher, type EgressPolicy, EgressRefused, type ResolveHost, resolveChecked } from '#services/egress/guard.ts';

/** Counts connections on every address of this machine. Any connection is a hole. */
let trap: Server;
let trapPort = 0;
let trapped = 0;

beforeAll(async () => {
  trap = createServer((socket) => {
    trapped += 1;
    socket.resume().end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  await new Promise<void>((resolve) => trap.listen(0, '::', resolve));
  trapPort = (trap.address() as AddressInfo).port;
});
afterAll(() => new Promise<void>((resolve) => trap.close(() => resolve())));

/** Spellings of addresses that end on this machine, in its network, or at a metadata service. */
const literalTricks = `
  127.0.0.1 127.0.0.1. 127.1 127.0.1 127.000.000.001 0177.0.0.1 0177.1 00177.0.0.01 0x7f.0.0.1 0x7f.1 0x7F000001 0x7f000001. 2130706433 017700000001
  127.0x0.0.1 0x7f.0x0.0x0.0x1 127.255.255.255 127.0.0.2 0 0.0.0.0 0x0 00 0.0 0.0.0.1 １２７.0.0.1 127。0。0。1 127．0．0．1 ①②⑦.0.0.1 %31%32%37.0.0.1
  127%2e0%2e0%2e1 0x7f。1 %30x7f.1 [::1] [::] [0:0:0:0:0:0:0:1] [0000::0001] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:7F00:0001]
  [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1] [::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::127.0.0.1] [2002:7f00:1::] [::ffff:0:127.0.0.1]
  [::ffff:0.0.0.0] [2001:0:0:0:0:0:80ff:fffe] 10.0.0.1 172.16.0.1 192.168.0.1 0xa.1 0300.0250.0.1 3232235521 [::ffff:10.0.0.1] [fc00::1] [fd12:3456::1]
  [fe80::1] [fec0::1] 169.254.0.1 100.64.0.1 198.18.0.1 192.0.2.1 224.0.0.1 240.0.0.1 255.255.255.255 4294967295 [ff02::1] [2001:db8::1] [100::1]
  169.254.169.254 2852039166 0xa9fea9fe 0xA9.0xFE.0xA9.0xFE 0251.0376.0251.0376 169.254.43518 [::ffff:169.254.169.254] [::ffff:a9fe:a9fe]
  [64:ff9b::169.254.169.254] [2002:a9fe:a9fe::] [fd00:ec2::254] 168.63.129.16 0xa83f8110 100.100.100.200 169.254.170.2 192.0.0.192 [fd20:ce::254]
`
  .trim()
  .split(/\s+/);
const nameTricks = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'LocalHost.',
  'ｌｏｃａｌｈｏｓｔ',
  'a.localhost',
  'metadata.google.internal',
  'METADATA.google.internal.',
  'metadata',
  'ip6-localhost',
];

async function attempt(host: string, policy: EgressPolicy): Promise<unknown> {
  const dispatcher = createGuardedDispatcher(policy, { connectTimeoutMs: 500 });
  try {
    return (await fetch(`http://${host}:${trapPort}/`, { dispatcher, redirect: 'manual' })).status;
  } catch (error) {
    return error;
  } finally {
    await dispatcher.destroy();
  }
}

/** The spelling is no address at all to a URL, or the guard refused it. */
const isRefused = (outcome: unknown): boolean =>
  refusalInside(outcome) !== null || (outcome instanceof TypeError && !(outcome.cause instanceof Error && 'syscall' in outcome.cause));

const answers =
  (...addresses: string[]): ResolveHost =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

/** Of the tricks, those that no setting opens at the trap's port when it is one of kOS's: this machine, metadata services, and names that lead there. */
const neverReachable = [...literalTricks, ...nameTricks].filter((host) => {
  const canonical = canonicalHost(host);
  return canonical === null || !isAddressLiteral(canonical) || isThisHost(canonical) || classifyAddress(canonical) === 'metadata';
});

describe('the guard lets nothing through to this machine', () => {
  it('has at least 80 spellings to try', () => {
    expect(new Set([...literalTricks, ...nameTricks]).size).toBeGreaterThanOrEqual(80);
  });

  it.each([...literalTricks, ...nameTricks])('%s, with nothing allowed', async (host) => {
    expect(isRefused(await attempt(host, { allow: [], forbiddenPorts: () => [] }))).toBe(true);
    expect(trapped).toBe(0);
  });

  it.each(neverReachable)('%s, allowed by itself, at a port of kOS or a metadata service', async (host) => {
    const allow = [`${host}:${trapPort}`, `127.0.0.1:${trapPort}`, `[::1]:${trapPort}`];
    expect(isRefused(await attempt(host, { allow, forbiddenPorts: () => [trapPort], resolve: answers('127.0.0.1') }))).toBe(true);
    expect(trapped).toBe(0);
  });

  it('any IPv4 address that is not public, in decimal, hexadecimal and octal', async () => {
    const address = fc.tuple(fc.constantFrom(0, 10, 127, 169, 192, 224, 240), fc.nat(255), fc.nat(255), fc.nat(255));
    const notation = fc.constantFrom<(parts: number[]) => string>(
      (parts) => String(parts.reduce((sum, part) => sum * 256 + part, 0)),
      (parts) => `0x${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`,
      (parts) => parts.map((part) => `0${part.toString(8)}`).join('.'),
      (parts) => parts.map((part) => `0x${part.toString(16)}`).join('.'),
      (parts) => `[::ffff:${parts.join('.')}]`,
      (parts) => `[64:ff9b::${parts.join('.')}]`,
    );
    await fc.assert(
      fc.asyncProperty(address, notation, async (parts, write) => {
        const outcome = await attempt(write(parts), { allow: [`*.example.com:${trapPort}`], forbiddenPorts: () => [] });
        expect(isRefused(outcome)).toBe(true);
        expect(trapped).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['loopback', ['127.0.0.1']],
    ['a good address and a bad one', ['93.184.216.34', '127.0.0.1']],
    ['mapped loopback', ['::ffff:127.0.0.1']],
    ['unspecified', ['0.0.0.0']],
    ['private', ['10.1.2.3']],
    ['metadata', ['169.254.169.254']],
    ['nothing', []],
  ])('a public name that is allowed and resolves to %s', async (_what, addresses) => {
    const policy = { allow: [`rebind.example.com:${trapPort}`], forbiddenPorts: () => [], resolve: answers(...addresses) };
    expect(refusalInside(await attempt('rebind.example.com', policy))).toBeInstanceOf(EgressRefused);
    expect(trapped).toBe(0);
  });
});

describe('the guard lets through what is allowed', () => {
  const open = { allow: [] as string[], forbiddenPorts: () => [] };

  it.each([['127.0.0.1'], ['localhost'], ['[::1]']])('%s, named with its port', async (host) => {
    const before = trapped;
    expect(await attempt(host, { ...open, allow: [`${host}:${trapPort}`] })).toBe(200);
    expect(trapped).toBe(before + 1);
    trapped = before;
  });

  it('a public name whose private address is allowed too', async () => {
    const allow = [`api.example.com:${trapPort}`, `127.0.0.1:${trapPort}`];
    expect(await attempt('api.example.com', { ...open, allow, resolve: answers('127.0.0.1') })).toBe(200);
    trapped = 0;
  });

  it('asks the DNS once per connection, and connects to what was checked', async () => {
    let asked = 0;
    const resolve: ResolveHost = async () => {
      asked += 1;
      return [{ address: '127.0.0.1', family: 4 }];
    };
    expect(await attempt('service.internal', { ...open, allow: [`service.internal:${trapPort}`], resolve })).toBe(200);
    expect(asked).toBe(1);
    trapped = 0;
  });
});

describe('refusals', () => {
  const refusalOf = async (host: string, policy: EgressPolicy): Promise<EgressRefused> => {
    const error = await resolveChecked({ host, port: 443 }, policy).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(KosError);
    return error as EgressRefused;
  };

  it('name the command that allows a host', async () => {
    const refusal = await refusalOf('example.com', { allow: [], forbiddenPorts: () => [] });
    expect(refusal).toMatchObject({ code: 'egress_refused', fix: 'kai settings add egress example.com:443' });
  });

  it('name the address when a public name leads inside', async () => {
    const refusal = await refusalOf('example.com', { allow: ['example.com:443'], forbiddenPorts: () => [], resolve: answers('fd00::7') });
    expect(refusal).toMatchObject({ code: 'egress_private_address', fix: "kai settings add egress '[fd00::7]:443'" });
  });

  it('offer no command for metadata services and own ports', async () => {
    expect(await refusalOf('169.254.169.254', { allow: ['169.254.169.254:443'], forbiddenPorts: () => [] })).toMatchObject({
      code: 'egress_metadata',
      fix: null,
    });
    expect(await refusalOf('127.0.0.1', { allow: ['127.0.0.1:443'], forbiddenPorts: () => [443] })).toMatchObject({ code: 'egress_own_port', fix: null });
  });

  it('compare the peer of the open socket with what was checked', () => {
    const policy = { allow: ['example.com:443'], forbiddenPorts: () => [] };
    const pinned = [{ address: '93.184.216.34', family: 4 }];
    const target = { host: 'example.com', port: 443 };
    expect(() => checkPeer(target, '93.184.216.34', pinned, policy)).not.toThrow();
    expect(() => checkPeer(target, '::ffff:93.184.216.34', pinned, policy)).not.toThrow();
    expect(() => checkPeer(target, '127.0.0.1', pinned, policy)).toThrow(EgressRefused);
    expect(() => checkPeer(target, undefined, pinned, policy)).toThrow(EgressRefused);
  });
});
