import { createHash } from 'node:crypto';
import { KosError } from '#core/errors.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { Json } from '#schemas/json.ts';
import type { LineForm } from '#schemas/plan.ts';
import type { ArtifactStore } from './store.ts';

/** Where a line stands: its first byte, and how many it has without its end. */
export interface LinePlace {
  at: number;
  bytes: number;
}

export const lineBytesAtMost = 1_000_000;

const newline = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from('\u{feff}');

/** Throws on what is no UTF-8; a byte order mark within is text like any other. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Where each line of an artifact stands. The content is read once, in pieces: at most one line of it is in memory. Each line is looked at, so that a list with a
 * fault in it is refused before anything is done with it. What ends the last line makes no further one. Throws KosError `artifact_content_missing`,
 * `artifact_content_damaged` (it is not what was written), `line_too_long`, `line_not_text`, `line_not_json`, `for_each_too_large`.
 */
export async function findLines(
  store: Pick<ArtifactStore, 'open'>,
  workspaceId: string,
  artifact: Artifact,
  form: LineForm,
  linesAtMost: number,
): Promise<LinePlace[]> {
  const { stream } = await store.open({ workspaceId, sha256: artifact.sha256 });
  const hash = createHash('sha256');
  const finder = new LineFinder(artifact, form, linesAtMost);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      hash.update(chunk);
      finder.take(chunk);
    }
  } finally {
    stream.destroy();
  }
  if (hash.digest('hex') !== artifact.sha256) throw damaged(artifact);
  return finder.end();
}

/** What a line is as an item. Throws KosError `line_not_text`, `line_not_json`. */
export function readLine(bytes: Uint8Array, form: LineForm, place: { artifact: Pick<Artifact, 'id'>; line: number }): Json {
  const text = decode(bytes, place);
  if (form === 'text') return text;
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw notJson(place, text, error);
  }
}

function decode(bytes: Uint8Array, place: { artifact: Pick<Artifact, 'id'>; line: number }): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw refused('line_not_text', `${placeOf(place)} is not UTF-8 text.`, 'Write the artifact as UTF-8.');
  }
}

class LineFinder {
  private readonly lines: LinePlace[] = [];
  private readonly artifact: Artifact;
  private readonly form: LineForm;
  private readonly linesAtMost: number;
  /** Pieces of the line that has begun and not ended. */
  private begun: Buffer[] = [];
  private begunBytes = 0;
  private begunAt = 0;

  constructor(artifact: Artifact, form: LineForm, linesAtMost: number) {
    this.artifact = artifact;
    this.form = form;
    this.linesAtMost = linesAtMost;
  }

  take(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      this.add(chunk.subarray(from, end));
      this.endLine(1);
      from = end + 1;
    }
    this.add(chunk.subarray(from));
  }

  end(): LinePlace[] {
    if (this.begunBytes > 0) this.endLine(0);
    return this.lines;
  }

  private add(piece: Buffer): void {
    this.begunBytes += piece.byteLength;
    // One more than is allowed: the end of the line may be a carriage return.
    if (this.begunBytes > lineBytesAtMost + 1) throw this.tooLong();
    if (piece.byteLength > 0) this.begun.push(piece);
  }

  private endLine(endBytes: number): void {
    if (this.lines.length === this.linesAtMost) throw this.tooMany();
    const whole = this.begun.length === 1 ? (this.begun[0] as Buffer) : Buffer.concat(this.begun);
    const start = this.begunAt === 0 && whole.subarray(0, byteOrderMark.byteLength).equals(byteOrderMark) ? byteOrderMark.byteLength : 0;
    const end = endBytes > 0 && whole.at(-1) === carriageReturn ? whole.byteLength - 1 : whole.byteLength;
    if (end - start > lineBytesAtMost) throw this.tooLong();
    readLine(whole.subarray(start, end), this.form, { artifact: this.artifact, line: this.lines.length + 1 });
    this.lines.push({ at: this.begunAt + start, bytes: end - start });
    this.begunAt += whole.byteLength + endBytes;
    this.begun = [];
    this.begunBytes = 0;
  }

  private tooLong(): KosError {
    const place = placeOf({ artifact: this.artifact, line: this.lines.length + 1 });
    return refused('line_too_long', `${place} has more than ${lineBytesAtMost} bytes.`, 'Let each line hold less, or its content be an artifact of its own.');
  }

  private tooMany(): KosError {
    const message = `The artifact ${this.artifact.id} ("${this.artifact.name}") has more than ${this.linesAtMost} lines.`;
    return refused('for_each_too_large', message, 'Split it over several artifacts, and these over several runs.');
  }
}

const placeOf = ({ artifact, line }: { artifact: Pick<Artifact, 'id'>; line: number }): string => `Line ${line} of the artifact ${artifact.id}`;

const refused = (code: string, message: string, fix: string): KosError => new KosError({ code, message, fix, status: 422 });

function notJson(place: { artifact: Pick<Artifact, 'id'>; line: number }, text: string, cause: unknown): KosError {
  const why = text.trim() === '' ? 'it is empty' : cause instanceof Error ? cause.message : String(cause);
  return refused('line_not_json', `${placeOf(place)} is not JSON: ${why}.`, 'Let each line hold one JSON value, or take the lines as text (lines: text).');
}

const damaged = ({ id, sha256 }: Artifact): KosError =>
  new KosError({
    code: 'artifact_content_damaged',
    message: `The content of the artifact ${id} is not what was written: its SHA-256 is not ${sha256.slice(0, 12)}….`,
    fix: 'Put its file back from a backup of the data folder.',
    status: 500,
  });
