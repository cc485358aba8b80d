import fc from 'fast-check';
import { fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import { classifyAddress, isThisHost } from '#services/egress/address.ts';
import { canonicalHost, isAddressLiteral } from '#services/egress/allow-list.ts';
import { refusalInside } from '#services/egress/fetch.ts';
import { literalTricks, nameTricks } from '#tests/rig/address-tricks.ts';
import { startTrap, type Trap } from '#tests/rig/trap.ts';
import { checkPeer, createGuardedDispatcher, type EgressPolicy, EgressRefused, type ResolveHost, resolveChecked } from '#services/egress/guard.ts';

let trap: Trap;
beforeAll(async () => {
  trap = await startTrap();
});
afterAll(() => trap.close());

async function attempt(host: string, policy: EgressPolicy): Promise<unknown> {
  const dispatcher = createGuardedDispatcher(policy, { connectTimeoutMs: 500 });
  try {
    return (await fetch(`http://${host}:${trap.port}/`, { dispatcher, redirect: 'manual' })).status;
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
    expect(trap.caught).toBe(0);
  });

  it.each(neverReachable)('%s, allowed by itself, at a port of kOS or a metadata service', async (host) => {
    const allow = [`${host}:${trap.port}`, `127.0.0.1:${trap.port}`, `[::1]:${trap.port}`];
    expect(isRefused(await attempt(host, { allow, forbiddenPorts: () => [trap.port], resolve: answers('127.0.0.1') }))).toBe(true);
    expect(trap.caught).toBe(0);
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
        const outcome = await attempt(write(parts), { allow: [`*.example.com:${trap.port}`], forbiddenPorts: () => [] });
        expect(isRefused(outcome)).toBe(true);
        expect(trap.caught).toBe(0);
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
    const policy = { allow: [`rebind.example.com:${trap.port}`], forbiddenPorts: () => [], resolve: answers(...addresses) };
    expect(refusalInside(await attempt('rebind.example.com', policy))).toBeInstanceOf(EgressRefused);
    expect(trap.caught).toBe(0);
  });
});

describe('the guard lets through what is allowed', () => {
  const open = { allow: [] as string[], forbiddenPorts: () => [] };

  it.each([['127.0.0.1'], ['localhost'], ['[::1]']])('%s, named with its port', async (host) => {
    const before = trap.caught;
    expect(await attempt(host, { ...open, allow: [`${host}:${trap.port}`] })).toBe(200);
    expect(trap.caught).toBe(before + 1);
    trap.caught = before;
  });

  it('a public name whose private address is allowed too', async () => {
    const allow = [`api.example.com:${trap.port}`, `127.0.0.1:${trap.port}`];
    expect(await attempt('api.example.com', { ...open, allow, resolve: answers('127.0.0.1') })).toBe(200);
    trap.caught = 0;
  });

  it('asks the DNS once per connection, and connects to what was checked', async () => {
    let asked = 0;
    const resolve: ResolveHost = async () => {
      asked += 1;
      return [{ address: '127.0.0.1', family: 4 }];
    };
    expect(await attempt('service.internal', { ...open, allow: [`service.internal:${trap.port}`], resolve })).toBe(200);
    expect(asked).toBe(1);
    trap.caught = 0;
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
