import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { KosError } from '#core/errors.ts';
import { usageFault } from './faults.ts';
import type { Output } from './output.ts';

/** `-` is standard input. A terminal would wait there for ever without a word, so it is told what is expected. */
export async function readTextFile(path: string, output: Output): Promise<string> {
  if (path === '-') {
    if (output.terminal.input) output.say(output.talkColours.dim('Reading from the terminal; end with Ctrl-D.'));
    return await text(process.stdin);
  }
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw fileFault(path, error);
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
