import type { FileHandle } from 'node:fs/promises';
import { lstat } from 'node:fs/promises';
import { z } from 'zod';
import { defineTool, maximumOutputBytes } from '#services/tools/define.ts';
import { absolutePath, readBoundary } from '#services/tools/files/boundary.ts';
import { errnoOf, fileFailure } from '#services/tools/files/failures.ts';
import { matchesFilePattern } from '#services/tools/files/glob.ts';
import { openFile, openFolder } from '#services/tools/files/opening.ts';
import { type SkippedPlace, walkFolder } from '#services/tools/files/walking.ts';
import { type Tool, type ToolContext, ToolFailure } from '#services/tools/tool.ts';

export const pathInput = z
  .string()
  .min(1)
  .max(4_096)
  .refine((path) => !path.includes('\0'), 'must not contain a NUL character');
const globInput = z.string().min(1).max(500);
const skippedOutput = z.array(z.object({ file: z.string(), reason: z.string() }));

const entryKind = (entry: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): 'file' | 'folder' | 'link' | 'other' => {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  return entry.isSymbolicLink() ? 'link' : 'other';
};

const listInput = z.strictObject({
  path: pathInput.default('.'),
  recursive: z.boolean().default(false),
  glob: globInput.optional(),
  limit: z.int().min(1).max(10_000).default(1_000),
});
const listOutput = z.object({
  path: z.string(),
  entries: z.array(z.object({ name: z.string(), kind: z.enum(['file', 'folder', 'link', 'other']), bytes: z.int().nonnegative(), modifiedAt: z.string() })),
  /** More entries exist than `limit`. */
  truncated: z.boolean(),
  skipped: skippedOutput,
});

async function listFolder(home: string, input: z.output<typeof listInput>, context: ToolContext): Promise<z.input<typeof listOutput>> {
  const boundary = await readBoundary(home, context.settings);
  const entries: z.input<typeof listOutput>['entries'] = [];
  const skipped: SkippedPlace[] = [];
  let truncated = false;
  const options = { recursive: input.recursive, signal: context.signal, onSkipped: (place: SkippedPlace) => skipped.push(place) };
  for await (const { name, entry, folder } of walkFolder(input.path, boundary, options)) {
    if (input.glob !== undefined && !matchesFilePattern(name, input.glob)) continue;
    if (entries.length === input.limit) {
      truncated = true;
      break;
    }
    const stats = await lstat(folder.entry(entry.name)).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return null; // gone since the folder was read
      throw fileFailure(error, name);
    });
    if (stats !== null) entries.push({ name, kind: entryKind(entry), bytes: stats.isFile() ? stats.size : 0, modifiedAt: stats.mtime.toISOString() });
  }
  return { path: absolutePath(input.path, boundary), entries, truncated, skipped: skipped.slice(0, 100) };
}

/** Without a window a file is read whole or refused: nothing is cut silently. */
const wholeFileBytes = 4 * 1024 * 1024;
/** In base64 a third more, which must stay below the most that a step may put out. */
const windowBytes = 5 * 1024 * 1024;
/** The longest character of UTF-8: a smaller window could stand still before one. */
const smallestWindowBytes = 4;

const readInput = z.strictObject({
  path: pathInput,
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
  offset: z.int().nonnegative().default(0),
  maxBytes: z.int().min(smallestWindowBytes).max(windowBytes).optional(),
});
const readOutput = z.object({
  path: z.string(),
  content: z.string(),
  encoding: z.enum(['utf8', 'base64']),
  /** Size of the whole file. */
  bytes: z.int().nonnegative(),
  /** Where the next window begins; null at the end of the file. */
  nextOffset: z.int().nonnegative().nullable(),
});

/** Reads at most `length` bytes at `position`; fewer at the end of the file. */
export async function readWindow(handle: FileHandle, position: number, length: number, signal: AbortSignal): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, filled, Math.min(length - filled, 1024 * 1024), position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** Bytes at the end that begin a UTF-8 character without ending it (RFC 3629: at most 3). */
function unfinishedTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return wanted > back ? back : 0;
  }
  return 0;
}

function decodeText(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    const fix = 'Read it with encoding: base64; a window must begin at a nextOffset.';
    throw new ToolFailure({ code: 'not_text', message: `${path} is not UTF-8 text here`, fix, status: 422, cause: error, effect: 'none' });
  }
}

async function readFile(home: string, input: z.output<typeof readInput>, context: ToolContext): Promise<z.input<typeof readOutput>> {
  const boundary = await readBoundary(home, context.settings);
  await using file = await openFile(input.path, boundary);
  const bytes = Number(file.stats.size);
  if (input.maxBytes === undefined && bytes - input.offset > wholeFileBytes) {
    const fix = `Read a window with offset and maxBytes (at most ${windowBytes}).`;
    throw new ToolFailure({
      code: 'file_too_large',
      message: `${input.path} has ${bytes} bytes; ${wholeFileBytes} are read at once`,
      fix,
      status: 413,
      effect: 'none',
    });
  }
  const wanted = Math.max(0, Math.min(input.maxBytes ?? wholeFileBytes, bytes - input.offset));
  const read = await readWindow(file.handle, input.offset, wanted, context.signal).catch((error: unknown) => {
    throw fileFailure(error, input.path);
  });
  const atEnd = input.offset + read.length >= bytes;
  const cut = input.encoding === 'utf8' && !atEnd ? read.subarray(0, read.length - unfinishedTail(read)) : read;
  const content = input.encoding === 'utf8' ? decodeText(cut, input.path) : cut.toString('base64');
  return { path: file.real, content, encoding: input.encoding, bytes, nextOffset: atEnd ? null : input.offset + cut.length };
}

const searchInput = z.strictObject({
  path: pathInput.default('.'),
  /** Literal text, not a pattern: a pattern could be written to run for ever. */
  query: z.string().min(1).max(1_000),
  caseSensitive: z.boolean().default(true),
  glob: globInput.optional(),
  limit: z.int().min(1).max(10_000).default(200),
});
const searchOutput = z.object({
  matches: z.array(z.object({ file: z.string(), line: z.int().positive(), text: z.string() })),
  filesSearched: z.int().nonnegative(),
  truncated: z.boolean(),
  skipped: skippedOutput,
});
const searchedFileBytes = 16 * 1024 * 1024;
const shownCharacters = 500;

type Match = z.input<typeof searchOutput>['matches'][number];

function* matchesIn(file: string, text: string, query: string, caseSensitive: boolean): Generator<Match> {
  const needle = caseSensitive ? query : query.toLowerCase();
  let line = 0;
  for (let start = 0; start <= text.length; ) {
    const found = text.indexOf('\n', start);
    const end = found === -1 ? text.length : found;
    line += 1;
    const content = text.slice(start, end);
    if ((caseSensitive ? content : content.toLowerCase()).includes(needle)) yield { file, line, text: content.slice(0, shownCharacters) };
    start = end + 1;
  }
}

async function searchOneFile(
  path: string,
  name: string,
  boundary: Awaited<ReturnType<typeof readBoundary>>,
  signal: AbortSignal,
): Promise<string | SkippedPlace> {
  await using file = await openFile(path, boundary);
  if (file.stats.size > searchedFileBytes) return { file: name, reason: `larger than ${searchedFileBytes} bytes` };
  const bytes = await readWindow(file.handle, 0, Number(file.stats.size), signal);
  return bytes.subarray(0, 8_192).includes(0) ? { file: name, reason: 'not text' } : bytes.toString('utf8');
}

async function search(home: string, input: z.output<typeof searchInput>, context: ToolContext): Promise<z.input<typeof searchOutput>> {
  const boundary = await readBoundary(home, context.settings);
  const skipped: SkippedPlace[] = [];
  const matches: Match[] = [];
  let filesSearched = 0;
  const searchFile = async (path: string, name: string): Promise<void> => {
    const content = await searchOneFile(path, name, boundary, context.signal);
    if (typeof content !== 'string') {
      skipped.push(content);
      return;
    }
    filesSearched += 1;
    for (const match of matchesIn(name, content, input.query, input.caseSensitive)) {
      matches.push(match);
      if (matches.length > input.limit) return;
    }
  };
  for await (const file of filesBelow(input.path, boundary, input.glob, context.signal, skipped)) {
    try {
      await searchFile(file.real, file.name);
    } catch (error) {
      context.signal.throwIfAborted();
      if (file.given) throw error;
      skipped.push({ file: file.name, reason: error instanceof Error ? error.message : String(error) });
    }
    if (matches.length > input.limit) break;
  }
  return { matches: matches.slice(0, input.limit), filesSearched, truncated: matches.length > input.limit, skipped: skipped.slice(0, 100) };
}

export interface FoundFile {
  name: string;
  real: string;
  /** The path itself was a file: failures to read it are the step's. */
  given: boolean;
}

/** The file that a path names, or the regular files below the folder that it names. Throws ToolFailure when it names neither. */
export async function* filesBelow(
  path: string,
  boundary: Awaited<ReturnType<typeof readBoundary>>,
  glob: string | undefined,
  signal: AbortSignal,
  skipped: SkippedPlace[],
): AsyncGenerator<FoundFile> {
  const isFolder = await openFolder(path, 'read', boundary).then(
    (folder) => folder[Symbol.asyncDispose]().then(() => true),
    (error: unknown) => {
      if (error instanceof ToolFailure && error.code === 'not_a_folder') return false;
      throw error;
    },
  );
  if (!isFolder) {
    const real = absolutePath(path, boundary);
    yield { name: real, real, given: true };
    return;
  }
  for await (const { name, real, entry } of walkFolder(path, boundary, { recursive: true, signal, onSkipped: (place) => skipped.push(place) })) {
    if (entry.isFile() && (glob === undefined || matchesFilePattern(name, glob))) yield { name, real, given: false };
  }
}

/** Tools that look and change nothing. They are idempotent, not pure: what they find depends on the outside. */
export function readingTools(home: string): Tool[] {
  const limits = { timeoutMs: 60_000, outputBytes: maximumOutputBytes };
  return [
    defineTool({
      name: 'fs.list',
      version: 1,
      description: 'Lists a folder, sorted by name; optionally all folders below it and only names that match a glob.',
      effect: 'idempotent',
      quick: true,
      input: listInput,
      output: listOutput,
      limits,
      execute: (input, context) => listFolder(home, input, context),
    }),
    defineTool({
      name: 'fs.read',
      version: 1,
      description: 'Reads a file as UTF-8 text or base64, whole (at most 4 MB) or in windows.',
      effect: 'idempotent',
      quick: true,
      input: readInput,
      output: readOutput,
      limits,
      execute: (input, context) => readFile(home, input, context),
    }),
    defineTool({
      name: 'fs.search',
      version: 1,
      description: 'Finds the lines that contain a literal text, in a file or in all files below a folder.',
      effect: 'idempotent',
      input: searchInput,
      output: searchOutput,
      limits,
      execute: (input, context) => search(home, input, context),
    }),
  ];
}
