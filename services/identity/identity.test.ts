import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { verifyEd25519 } from '#core/audit/ed25519.ts';
import { createApiKey, hashApiKey, matchesApiKey, parseApiKey } from './api-key.ts';
import { openSigningIdentity, signingIdentity } from './signing-key.ts';

describe('API keys', () => {
  test('are read back, and never twice the same', () => {
    const keys = Array.from({ length: 50 }, createApiKey);
    for (const { apiKey, publicId } of keys) {
      expect(apiKey).toMatch(/^kos_[0-9a-f]{12}_[0-9A-Za-z]{49}$/);
      expect(parseApiKey(apiKey)).toEqual({ publicId });
    }
    expect(new Set(keys.map(({ apiKey }) => apiKey)).size).toBe(50);
  });

  test('one wrong, missing or added letter is noticed', () => {
    const { apiKey } = createApiKey();
    fc.assert(
      fc.property(fc.nat(apiKey.length - 1), fc.constantFrom('0', 'a', 'Z', '_', 'x'), (at, letter) => {
        const typed = apiKey.slice(0, at) + letter + apiKey.slice(at + 1);
        expect(parseApiKey(typed) === null).toBe(typed !== apiKey);
        expect(parseApiKey(apiKey.slice(0, at) + apiKey.slice(at + 1))).toBeNull();
        expect(parseApiKey(apiKey.slice(0, at) + letter + apiKey.slice(at))).toBeNull();
      }),
    );
    for (const text of ['', 'kos_', `${apiKey}\n`, ` ${apiKey}`]) expect(parseApiKey(text)).toBeNull();
  });

  test('only the right key matches the stored hash', () => {
    const { apiKey, secretHash } = createApiKey();
    expect(matchesApiKey(apiKey, secretHash)).toBe(true);
    expect(matchesApiKey(createApiKey().apiKey, secretHash)).toBe(false);
    expect(matchesApiKey(apiKey, new Uint8Array())).toBe(false);
    expect(hashApiKey(apiKey)).toHaveLength(32);
  });
});

describe('signing keys', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kos-identity-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  test('sign as RFC 8032 says (§7.1, test 2)', () => {
    const identity = signingIdentity(Buffer.from('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', 'hex'));
    expect(Buffer.from(identity.publicKey).toString('hex')).toBe('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
    expect(Buffer.from(identity.sign(Buffer.of(0x72))).toString('hex')).toBe(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
  });

  test('stay the same after a start, in a private file', () => {
    const message = Buffer.from('tree head');
    const first = openSigningIdentity({ directory });
    const second = openSigningIdentity({ directory });
    expect(second.publicKey).toEqual(first.publicKey);
    expect(verifyEd25519(first.publicKey, message, second.sign(message))).toBe(true);
    expect(verifyEd25519(first.publicKey, Buffer.from('other'), second.sign(message))).toBe(false);
    expect(statSync(join(directory, 'signing-1.key')).mode & 0o777).toBe(0o600);
  });

  test('that others may read are refused', () => {
    openSigningIdentity({ directory });
    chmodSync(join(directory, 'signing-1.key'), 0o644);
    expect(() => openSigningIdentity({ directory })).toThrow(/mode 644/);
  });
});
