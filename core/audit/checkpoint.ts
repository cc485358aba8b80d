import { hashBytes, type Hash } from './merkle.ts';
import { openNote, signNote, type NoteSigner, type NoteVerifier } from './signed-note.ts';

/** A tree head in the format of https://c2sp.org/tlog-checkpoint: origin, size and root hash on a line each. */
export interface Checkpoint {
  /** Names the log, for good: e.g. the installation's id. One line, no spaces around. */
  origin: string;
  size: number;
  root: Hash;
}

export const signCheckpoint = (checkpoint: Checkpoint, signer: NoteSigner): string => signNote(encodeCheckpoint(checkpoint), signer);

/** The checkpoint in the note, if it is this log's and the signature holds; else null. */
export function openCheckpoint(note: string, origin: string, verifier: NoteVerifier): Checkpoint | null {
  const text = openNote(note, verifier);
  const checkpoint = text === null ? null : decodeCheckpoint(text);
  return checkpoint?.origin === origin ? checkpoint : null;
}

function encodeCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
}

/** Lines after the third are extensions, which the format allows. */
function decodeCheckpoint(text: string): Checkpoint | null {
  const [origin, size, encoded] = text.split('\n');
  if (origin === undefined || origin === '' || size === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(size)) return null;
  const root = Buffer.from(encoded ?? '', 'base64');
  return root.length === hashBytes ? { origin, size: Number(size), root } : null;
}
