import { describe, expect, it } from 'vitest';
import { allowedByName, allowedExactly, canonicalHost, endpointOf, isLocalName } from '#services/egress/allow-list.ts';

const endpoint = (host: string, port = 443): { host: string; port: number } => ({ host, port });

describe('canonicalHost', () => {
  it.each([
    ['EXAMPLE.com', 'example.com'],
    ['example.com.', 'example.com'],
    ['2130706433', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['::1', '[::1]'],
    ['[::FFFF:127.0.0.1]', '[::ffff:7f00:1]'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['a/b', null],
    ['user@host', null],
    ['host:80', null],
    ['', null],
  ])('%s is %s', (given, wanted) => {
    expect(canonicalHost(given)).toBe(wanted);
  });
});

describe('the allow list', () => {
  it('matches host and port exactly, in any spelling of the entry', () => {
    expect(allowedExactly(['Example.com:443'], endpoint('example.com'))).toBe(true);
    expect(allowedExactly(['example.com:443'], endpoint('example.com', 80))).toBe(false);
    expect(allowedExactly(['[::1]:443', '0x7f.1:443'], endpoint('[::1]'))).toBe(true);
    expect(allowedExactly(['0x7f.1:443'], endpoint('127.0.0.1'))).toBe(true);
    expect(allowedExactly(['*.example.com:443'], endpoint('a.example.com'))).toBe(false);
  });

  it('lets a pattern match names below a suffix, and nothing else', () => {
    const allow = ['*.example.com:443'];
    expect(allowedByName(allow, endpoint('a.example.com'))).toBe(true);
    expect(allowedByName(allow, endpoint('a.b.example.com'))).toBe(true);
    expect(allowedByName(allow, endpoint('example.com'))).toBe(false);
    expect(allowedByName(allow, endpoint('evilexample.com'))).toBe(false);
    expect(allowedByName(allow, endpoint('a.example.com', 8443))).toBe(false);
    expect(allowedByName(['*.0.0.1:443'], endpoint('127.0.0.1'))).toBe(false);
  });

  it('ignores entries that it cannot read', () => {
    expect(allowedByName(['example.com', ':443', 'example.com:', '*:443', ''], endpoint('example.com'))).toBe(false);
  });
});

it('takes the default port from the scheme, and no other scheme', () => {
  expect(endpointOf(new URL('https://example.com/x'))).toEqual(endpoint('example.com'));
  expect(endpointOf(new URL('http://example.com/x'))).toEqual(endpoint('example.com', 80));
  expect(endpointOf(new URL('ftp://example.com/x'))).toBeNull();
});

it('tells names of the own network from names of the public DNS', () => {
  expect(['localhost', 'ollama', 'db.internal', 'printer.local'].every(isLocalName)).toBe(true);
  expect(['example.com', '127.0.0.1', '[::1]'].some(isLocalName)).toBe(false);
});
