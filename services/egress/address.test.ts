import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyAddress, isMetadataName, isThisHost, normalizeAddress } from '#services/egress/address.ts';

const expected: Record<string, string[]> = {
  loopback: ['127.0.0.1', '127.255.255.254', '::1', '[::1]', '::ffff:127.0.0.1', '::ffff:7f00:1', '::1%lo'],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fdff::1', '::ffff:10.0.0.1'],
  'link-local': ['169.254.1.1', 'fe80::1', 'fe80::1%eth0', 'febf::1'],
  'carrier-grade-nat': ['100.64.0.1', '100.127.255.255'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1', '255.255.255.255'],
  reserved: [
    '192.0.2.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.9',
    '240.0.0.1',
    '2001:db8::1',
    '3fff::1',
    '100::1',
    'fec0::1',
    '5f00::1',
    '4000::1',
    'not an address',
    '',
  ],
  embedded: ['64:ff9b::10.0.0.1', '64:ff9b::8.8.8.8', '2002:7f00:1::', '2002:a00:1::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2', '::a00:1', '::7f00:1'],
  metadata: [
    '169.254.169.254',
    '169.254.170.2',
    '168.63.129.16',
    '100.100.100.200',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd20:ce::254',
    '::ffff:169.254.169.254',
    '64:ff9b::169.254.169.254',
    '2002:a9fe:a9fe::',
    '::169.254.169.254',
  ],
  public: ['1.1.1.1', '8.8.8.8', '93.184.216.34', '2606:4700:4700::1111', '172.32.0.1', '100.128.0.1', '11.0.0.1'],
};

describe('classifyAddress', () => {
  it.each(Object.entries(expected).flatMap(([wanted, addresses]) => addresses.map((address) => [address, wanted] as const)))('%s is %s', (address, wanted) => {
    expect(classifyAddress(address)).toBe(wanted);
  });

  it('gives an IPv4 address the same class in its mapped form', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(classifyAddress(`::ffff:${address}`)).toBe(classifyAddress(address));
      }),
    );
  });

  it('never calls an IPv6 address public outside 2000::/3', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const normal = normalizeAddress(address);
        if (normal?.includes(':') && classifyAddress(address) === 'public') expect(['2', '3']).toContain(normal[0]);
      }),
    );
  });
});

describe('isThisHost', () => {
  const interfaces = { eth0: [{ address: '192.168.7.7', netmask: '255.255.255.0', family: 'IPv4' as const, mac: '', internal: false, cidr: null }] };

  it.each(['127.0.0.1', '127.9.9.9', '0.0.0.0', '::', '::1', '192.168.7.7', '::ffff:192.168.7.7', '64:ff9b::127.0.0.1'])(
    '%s ends on this machine',
    (address) => {
      expect(isThisHost(address, interfaces)).toBe(true);
    },
  );

  it.each(['192.168.7.8', '8.8.8.8', 'fe80::1', 'words'])('%s does not', (address) => {
    expect(isThisHost(address, interfaces)).toBe(false);
  });
});

it('knows the names of metadata services', () => {
  expect(isMetadataName('metadata.google.internal')).toBe(true);
  expect(isMetadataName('example.com')).toBe(false);
});
