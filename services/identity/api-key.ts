import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * `kos_<id>_<secret><check>`: a fixed prefix that secret scanners can look for, a public id of 12 hex digits, 256 random bits in base 62 (43 digits), and the
 * CRC-32 of all before it (6 digits), so that a mistyped key is told from a wrong one without asking the database.
 */
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretDigits = 43;
const checkDigits = 6;
const secretBytes = 32;
const form = new RegExp(`^kos_([0-9a-f]{12})_([${digits}]{${secretDigits}})([${digits}]{${checkDigits}})$`);

export interface ApiKey {
  /** The whole key, to be shown once and never stored. */
  apiKey: string;
  /** Tells keys apart in lists; no secret. */
  publicId: string;
  /** What is stored. */
  secretHash: Uint8Array;
}

export function createApiKey(): ApiKey {
  const publicId = randomBytes(6).toString('hex');
  const head = `kos_${publicId}_${inBase62(BigInt(`0x${randomBytes(secretBytes).toString('hex')}`), secretDigits)}`;
  const apiKey = `${head}${checkOf(head)}`;
  return { apiKey, publicId, secretHash: hashApiKey(apiKey) };
}

/** Null when the text is no key, or was mistyped or cut. */
export function parseApiKey(text: string): { publicId: string } | null {
  const match = form.exec(text);
  if (match === null || checkOf(text.slice(0, -checkDigits)) !== match[3]) return null;
  return { publicId: match[1] ?? '' };
}

/** A plain SHA-256 suffices: 256 random bits cannot be guessed, however fast the hash is. */
export const hashApiKey = (apiKey: string): Uint8Array => createHash('sha256').update(apiKey).digest();

/** Compares in constant time. */
export function matchesApiKey(apiKey: string, secretHash: Uint8Array): boolean {
  const hash = hashApiKey(apiKey);
  return secretHash.length === hash.length && timingSafeEqual(hash, secretHash);
}

const checkOf = (head: string): string => inBase62(BigInt(crc32(head)), checkDigits);

function inBase62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest /= 62n) text = digits[Number(rest % 62n)] + text;
  return text;
}
