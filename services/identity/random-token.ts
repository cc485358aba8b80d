import { createHash, randomBytes } from 'node:crypto';

/** A secret of 256 random bits for one bearer (a session, a link, a refresh token), and what is stored of it. */
export interface RandomToken {
  /** 43 characters of base64url. */
  token: string;
  tokenHash: Buffer;
}

const tokenBytes = 32;
const form = /^[A-Za-z0-9_-]{43}$/;

export function newRandomToken(): RandomToken {
  const token = randomBytes(tokenBytes).toString('base64url');
  return { token, tokenHash: hashToken(token) };
}

/** A plain SHA-256 suffices: 256 random bits cannot be guessed. Null when the text can be no such token. */
export const hashRandomToken = (text: string): Buffer | null => (form.test(text) ? hashToken(text) : null);

const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest();
