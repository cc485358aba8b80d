import { nonceBytes, refused, type SealedParts } from './aead.ts';

/** Layout: version (1 byte) · length of key id (1 byte) · key id (ASCII) · nonce (12 bytes) · ciphertext with its tag. */
const version = 1;
const headBytes = 2;

export function writeEnvelope(parts: SealedParts): Uint8Array {
  const keyId = Buffer.from(parts.keyId, 'ascii');
  return Buffer.concat([Buffer.of(version, keyId.length), keyId, parts.nonce, parts.ciphertext]);
}

export function readEnvelope(sealed: Uint8Array): SealedParts {
  if (sealed[0] !== version) throw refused('it is not in the format kos-seal-v1');
  const nonceStart = headBytes + (sealed[1] ?? 0);
  const textStart = nonceStart + nonceBytes;
  if (sealed.length < textStart) throw refused('it is cut short');
  return {
    keyId: Buffer.from(sealed.subarray(headBytes, nonceStart)).toString('latin1'),
    nonce: sealed.subarray(nonceStart, textStart),
    ciphertext: sealed.subarray(textStart),
  };
}
