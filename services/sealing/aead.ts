import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { KosError } from '#core/errors.ts';

/** AES-256-GCM with 96-bit random nonces (NIST SP 800-38D): one key may seal 2^32 texts, so rotate long before four billion. */
const cipherName = 'aes-256-gcm';
export const keyBytes = 32;
export const nonceBytes = 12;
export const tagBytes = 16;

/** A sealed text taken apart, for formats that have places of their own for key id and nonce. `ciphertext` ends with the 16-byte tag. */
export interface SealedParts {
  keyId: string;
  nonce: Uint8Array;
  ciphertext: Uint8Array;
}

export interface AeadKey {
  /** `<generation>-<fingerprint>`: the fingerprint tells keys of the same generation but of different installations apart. */
  id: string;
  generation: number;
  secret: KeyObject;
}

export function createAeadKey(generation: number, bytes: Uint8Array): AeadKey {
  const fingerprint = createHash('sha256').update('kos-key-id\n').update(bytes).digest('hex').slice(0, 12);
  return { id: `${generation}-${fingerprint}`, generation, secret: createSecretKey(bytes) };
}

/** Random bytes come by the kilobyte: asking for twelve at a time costs more than sealing a small text. Each is used once. */
let nonces = Buffer.alloc(0);

function takeNonce(): Uint8Array {
  if (nonces.length < nonceBytes) nonces = randomBytes(nonceBytes * 512);
  const nonce = nonces.subarray(0, nonceBytes);
  nonces = nonces.subarray(nonceBytes);
  return nonce;
}

export function sealWithKey(key: AeadKey, plain: Uint8Array, associatedData: string): SealedParts {
  const nonce = takeNonce();
  const cipher = createCipheriv(cipherName, key.secret, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(associatedData));
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return { keyId: key.id, nonce, ciphertext };
}

export function openWithKey(key: AeadKey, parts: SealedParts, associatedData: string): Uint8Array {
  const { nonce, ciphertext } = parts;
  if (nonce.length !== nonceBytes || ciphertext.length < tagBytes) throw refused('it is too short or its nonce has a wrong length');
  const decipher = createDecipheriv(cipherName, key.secret, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(associatedData));
  decipher.setAuthTag(ciphertext.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(ciphertext.subarray(0, -tagBytes)), decipher.final()]);
  } catch (error) {
    throw refused('it was changed, or sealed for another place', error);
  }
}

export function refused(reason: string, cause?: unknown): KosError {
  return new KosError({ code: 'sealed_data_refused', message: `Sealed data does not open: ${reason}.`, status: 500, cause });
}
