import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { KosError } from '#core/errors.ts';
import { fileFault } from './input-files.ts';

/** Complete or not there: written beside the file and moved into place. What is no regular file (a pipe, /dev/null) is written to, never replaced. */
export async function saveStream(body: Readable, path: string, overwrite: boolean): Promise<void> {
  const kind = await kindOfFile(path);
  if (kind === 'file' && !overwrite) {
    throw new KosError({ code: 'file_exists', message: `${path} exists already.`, fix: 'Overwrite it with --force, or choose another name.', status: 409 });
  }
  const target = kind === 'special' ? path : `${path}.part-${process.pid}`;
  try {
    await pipeline(body, createWriteStream(target, { flags: 'w' }));
    if (target !== path) await rename(target, path);
  } catch (error) {
    if (target !== path) await rm(target, { force: true });
    throw fileFault(path, error);
  }
}

async function kindOfFile(path: string): Promise<'absent' | 'file' | 'special'> {
  try {
    return (await stat(path)).isFile() ? 'file' : 'special';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
    throw fileFault(path, error);
  }
}
