import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { createKeyFile, listKeyGenerations, prepareKeyFolder, readKeyFile } from '#services/sealing/key-files.ts';

/** An Ed25519 key pair (RFC 8032) whose private half stays inside. */
export interface SigningIdentity {
  /** 32 bytes. */
  publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

const purpose = 'signing';

/** The installation's own key pair: read from `directory`, made at first use (mode 0600, whole or not at all). Signs checkpoints of the audit log. */
export function openSigningIdentity(options: { directory: string }): SigningIdentity {
  const { directory } = options;
  prepareKeyFolder(directory);
  if (listKeyGenerations(directory, purpose).length === 0) createKeyFile(directory, purpose, 1);
  const generation = Math.max(...listKeyGenerations(directory, purpose));
  return signingIdentity(readKeyFile(directory, purpose, generation));
}

/** `seed` is the 32-byte private key of RFC 8032. */
export function signingIdentity(seed: Uint8Array): SigningIdentity {
  const privateKey = ed25519PrivateKey(seed);
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { publicKey: Buffer.from(String(x), 'base64url'), sign: (message) => sign(null, message, privateKey) };
}

/** `seed` is the 32-byte private key of RFC 8032. */
export const ed25519PrivateKey = (seed: Uint8Array): KeyObject => createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' });

/** RFC 8410 §7: what stands before the seed in a PKCS #8 document of an Ed25519 key. */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');
