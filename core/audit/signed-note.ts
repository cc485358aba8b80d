import { createHash } from 'node:crypto';
import { verifyEd25519 } from './ed25519.ts';

/** Signed notes (https://c2sp.org/signed-note) with Ed25519: a text, an empty line, and one line for each signature. */
const algorithmEd25519 = Buffer.of(0x01);
const keyHashBytes = 4;
const signatureStart = '— ';

export interface NoteVerifier {
  /** Name of the key's owner; no spaces, no plus. */
  name: string;
  /** 32 bytes. */
  publicKey: Uint8Array;
}

export interface NoteSigner extends NoteVerifier {
  sign(message: Uint8Array): Uint8Array;
}

/** `text` ends with a line break. */
export function signNote(text: string, signer: NoteSigner): string {
  if (!text.endsWith('\n')) throw new TypeError('The text of a signed note ends with a line break.');
  const signature = Buffer.concat([noteKeyHash(signer), signer.sign(Buffer.from(text, 'utf8'))]);
  return `${text}\n${signatureStart}${signer.name} ${signature.toString('base64')}\n`;
}

/** The text, if one of the signatures is by this verifier and holds; else null. Signatures of others (witnesses) are passed over. */
export function openNote(note: string, verifier: NoteVerifier): string | null {
  const split = note.lastIndexOf('\n\n');
  if (split === -1 || !note.endsWith('\n')) return null;
  const text = note.slice(0, split + 1);
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.some((line) => !line.startsWith(signatureStart))) return null;
  return lines.some((line) => isSignatureOf(line, text, verifier)) ? text : null;
}

/** `name+hash+key`, the form in which a verifier is handed to others. */
export function encodeVerifier(verifier: NoteVerifier): string {
  const key = Buffer.concat([algorithmEd25519, verifier.publicKey]);
  return `${verifier.name}+${noteKeyHash(verifier).toString('hex')}+${key.toString('base64')}`;
}

export function decodeVerifier(text: string): NoteVerifier | null {
  const match = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text);
  if (match === null) return null;
  const [, name = '', hash = '', encoded = ''] = match;
  const key = Buffer.from(encoded, 'base64');
  if (key.length !== 33 || key[0] !== algorithmEd25519[0]) return null;
  const verifier = { name, publicKey: key.subarray(1) };
  return noteKeyHash(verifier).toString('hex') === hash ? verifier : null;
}

function isSignatureOf(line: string, text: string, verifier: NoteVerifier): boolean {
  const [name, encoded = ''] = line.slice(signatureStart.length).split(' ');
  const bytes = Buffer.from(encoded, 'base64');
  if (name !== verifier.name || !bytes.subarray(0, keyHashBytes).equals(noteKeyHash(verifier))) return false;
  return verifyEd25519(verifier.publicKey, Buffer.from(text, 'utf8'), bytes.subarray(keyHashBytes));
}

function noteKeyHash({ name, publicKey }: NoteVerifier): Buffer {
  return createHash('sha256').update(`${name}\n`).update(algorithmEd25519).update(publicKey).digest().subarray(0, keyHashBytes);
}
