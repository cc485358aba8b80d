import type { FileHandle } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';

const chunkBytes = 128 * 1024;
/** Of a longer line only the start is kept: a file without line ends must not grow in memory. */
export const maximumLineBytes = 64 * 1024;

async function* chunksOf(handle: FileHandle, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const buffer = Buffer.allocUnsafe(chunkBytes);
    const { bytesRead } = await handle.read(buffer, 0, chunkBytes, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The content of a plain or gzip file in chunks, giving way to timers and sockets between them. Throws on abort and on broken gzip. */
export async function* contentOf(handle: FileHandle, gzipped: boolean, signal: AbortSignal): AsyncGenerator<Buffer> {
  const chunks = chunksOf(handle, signal);
  // Errors of either end reach the loop below through the destroyed stream; the callback has nothing to add.
  const source: AsyncIterable<Buffer> = gzipped ? pipeline(Readable.from(chunks), createGunzip({ chunkSize: chunkBytes }), () => undefined) : chunks;
  for await (const chunk of source) {
    await nextTurn();
    signal.throwIfAborted();
    yield chunk;
  }
}

/** True when the beginning of a file is not text: a NUL byte, or more than a tenth control characters. */
export function looksBinary(start: Buffer): boolean {
  const probe = start.subarray(0, 8_192);
  let controls = 0;
  for (const byte of probe) {
    if (byte === 0) return true;
    if (byte < 9 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32)) controls += 1;
  }
  return controls * 10 > probe.length;
}

/** Cuts chunks into lines without keeping more than one line. */
export class LineCutter {
  #carried: Buffer[] = [];
  #carriedBytes = 0;
  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#endLine(chunk, start, end);
      start = end + 1;
    }
    if (start < chunk.length) this.#carry(chunk.subarray(start));
  }

  /** The last line, if it has no line end. */
  finish(): void {
    if (this.#carriedBytes > 0) this.#endLine(Buffer.alloc(0), 0, 0);
  }

  #carry(part: Buffer): void {
    const room = maximumLineBytes - this.#carriedBytes;
    if (room <= 0) return;
    // Copied: a part would keep its whole chunk alive.
    const kept = Buffer.from(part.subarray(0, room));
    this.#carried.push(kept);
    this.#carriedBytes += kept.length;
  }

  #endLine(chunk: Buffer, start: number, end: number): void {
    const stop = Math.min(end, start + maximumLineBytes);
    const withoutReturn = stop > start && chunk[stop - 1] === 13 ? stop - 1 : stop;
    if (this.#carriedBytes === 0) {
      this.#onLine(chunk.toString('utf8', start, withoutReturn));
      return;
    }
    const line = Buffer.concat([...this.#carried, chunk.subarray(start, withoutReturn)]).subarray(0, maximumLineBytes);
    this.#carried = [];
    this.#carriedBytes = 0;
    this.#onLine(line.toString('utf8').replace(/\r$/, ''));
  }
}
