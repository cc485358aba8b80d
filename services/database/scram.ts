import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** Postgres' own default (`scram_iterations`); the passwords that kOS makes have 192 random bits, so more would protect nothing. */
const iterations = 4096;
const saltBytes = 16;
const keyBytes = 32;

/**
 * What Postgres keeps of a password (RFC 5803), to be sent in its place: a statement that fails stands in the server's log as it was sent. For
 * ASCII only: other passwords need SASLprep first.
 */
export function scramVerifier(password: string, salt = randomBytes(saltBytes)): string {
  const salted = pbkdf2Sync(password, salt, iterations, keyBytes, 'sha256');
  const keyFor = (name: string): Buffer => createHmac('sha256', salted).update(name).digest();
  const storedKey = createHash('sha256').update(keyFor('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${keyFor('Server Key').toString('base64')}`;
}
