import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { KosError } from '#core/errors.ts';
import { usageFault } from './faults.ts';
import type { Output } from './output.ts';

/** `-` is standard input. A terminal would wait there for ever without a word, so it is told what is expected. */
export async function readTextFile(path: string, output: Output): Promise<string> {
  if (path === '-') {
    if (output.terminal.input) output.say(output.talkColours.dim('Reading from the terminal; end with Ctrl-D.'));
    return decoded(await buffer(process.stdin), 'standard input');
  }
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileFault(path, error);
  });
  return decoded(bytes, path);
}

/** Wrong bytes are refused: read as something else they would be saved so. */
function decoded(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new KosError({ code: 'not_text', message: `${name} is not UTF-8 text.`, fix: 'Save it as UTF-8.', status: 422, cause });
  }
}

export function parseJsonText(source: string, name: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw usageFault(`${name} is not JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

export function fileFault(path: string, error: unknown): KosError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  const reason: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EISDIR: 'it is a folder',
    EACCES: 'this user may not',
    ENOSPC: 'the disk is full',
    EEXIST: 'it exists already',
  };
  return new KosError({ code: 'file_fault', message: `${path} cannot be used: ${reason[code] ?? code}.`, status: 500, cause: error });
}
