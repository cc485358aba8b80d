import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { keyBytes } from './aead.ts';

/** Windows has no POSIX modes: there the folder's own access list guards the keys. */
const modesMatter = process.platform !== 'win32';
const privateFile = 0o600;
const privateFolder = 0o700;
const othersMayReach = 0o077;
const othersMayWrite = 0o022;

export const keyFileName = (purpose: string, generation: number): string => `${purpose}-${generation}.key`;

export function prepareKeyFolder(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: privateFolder });
  const mode = statSync(directory).mode;
  if (modesMatter && (mode & othersMayWrite) !== 0) throw exposed(directory, mode, '700');
}

/** Generations that have a file, ascending. */
export function listKeyGenerations(directory: string, purpose: string): number[] {
  const pattern = new RegExp(`^${purpose}-([1-9][0-9]{0,8})\\.key$`);
  return readdirSync(directory)
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * Makes the file of one generation unless it exists. The file appears whole or not at all: it is written and flushed under another name, then
 * linked, and a link fails where the name exists, so of several processes exactly one wins and the others use the winner's key.
 */
export function createKeyFile(directory: string, purpose: string, generation: number): void {
  const path = join(directory, keyFileName(purpose, generation));
  const draft = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.draft`;
  writeFlushed(draft, `${randomBytes(keyBytes).toString('base64')}\n`);
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!isExisting(error)) throw error;
  } finally {
    unlinkSync(draft);
  }
  flushFolder(directory);
}

/** The key's 32 bytes; refuses a file that others may read. */
export function readKeyFile(directory: string, purpose: string, generation: number): Uint8Array {
  const path = join(directory, keyFileName(purpose, generation));
  const key = Buffer.from(readPrivateFile(path).trim(), 'base64');
  if (key.length !== keyBytes) {
    throw new KosError({
      code: 'key_file_damaged',
      message: `The key file ${path} does not hold a key of ${keyBytes} bytes.`,
      fix: 'Restore the keys folder of KOS_HOME from a copy; without the key, what it sealed cannot be read.',
      status: 500,
    });
  }
  return key;
}

/** Reads a file that only its owner may read; the mode is checked on the open file. */
export function readPrivateFile(path: string): string {
  const file = openSync(path, 'r');
  try {
    const { mode } = fstatSync(file);
    if (modesMatter && (mode & othersMayReach) !== 0) throw exposed(path, mode, '600');
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** Writes a new file with mode 0600 and waits until it is on the disk. */
export function writeFlushed(path: string, text: string): void {
  const file = openSync(path, 'wx', privateFile);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes a new name in the folder survive a power cut. Windows refuses to open folders and needs no flush. */
export function flushFolder(directory: string): void {
  if (!modesMatter) return;
  const folder = openSync(directory, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export const isExisting = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EEXIST';

function exposed(path: string, mode: number, wanted: string): KosError {
  return new KosError({
    code: 'key_file_exposed',
    message: `${path} has mode ${(mode & 0o777).toString(8)}: others on this machine can reach it.`,
    fix: `chmod ${wanted} ${path}`,
    status: 500,
  });
}
