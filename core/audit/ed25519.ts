import { createPublicKey, verify } from 'node:crypto';

/** Whether the 64-byte signature (RFC 8032) of this message is by the holder of this 32-byte public key. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') } });
  return verify(null, message, key, signature);
}
