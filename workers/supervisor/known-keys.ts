import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { readJsonFile, writeJsonFile } from '#services/embedded/run-records.ts';
import { readKeyFile } from '#services/sealing/key-files.ts';
import { z } from 'zod';

const namesSchema = z.array(z.string());
const keyFile = /^([a-z]+)-([1-9]\d*)\.key$/;

const recordOf = (home: string): string => join(home, 'run', 'known-keys.json');

/** Once kOS is ready: its parts have made what keys they need. */
export async function rememberKeys(home: string): Promise<void> {
  const names = (await readdir(join(home, 'keys'))).filter((name) => keyFile.test(name)).toSorted();
  await writeJsonFile(recordOf(home), names);
}

/**
 * A key that is gone would be made anew without a word, and what the old one sealed could never be read again. Throws `keys_lost`; for a key that is there
 * and cannot be used, `key_file_damaged` or `key_file_exposed`: the parts would only die of it, one after the other. A home without a database of its own
 * has nothing sealed yet.
 */
export async function refuseUnusableKeys(home: string, databaseIsElsewhere: boolean): Promise<void> {
  const known = namesSchema.safeParse(await readJsonFile(recordOf(home)));
  if (!known.success || !(databaseIsElsewhere || (await isThere(join(home, 'postgres'))))) return;
  const lost: string[] = [];
  for (const name of known.data) if (!(await isThere(join(home, 'keys', name)))) lost.push(name);
  if (lost.length === 0) {
    for (const name of known.data) readNamedKey(join(home, 'keys'), name);
    return;
  }
  throw new KosError({
    code: 'keys_lost',
    message: `Of this installation's keys ${lost.join(', ')} ${lost.length === 1 ? 'is' : 'are'} missing from ${join(home, 'keys')}, or empty: what was sealed with ${lost.length === 1 ? 'it' : 'them'} could not be read.`,
    fix: `Put ${lost.length === 1 ? 'it' : 'them'} back from the copy that belongs to this data. If there is none, remove ${recordOf(home)} (and empty files in keys/): kOS then makes new keys, and what the lost ones sealed stays closed.`,
    status: 500,
  });
}

function readNamedKey(folder: string, name: string): void {
  const [, purpose, generation] = keyFile.exec(name) ?? [];
  if (purpose !== undefined) readKeyFile(folder, purpose, Number(generation));
}

/** And not empty, as a crash of the machine can leave a file. */
async function isThere(path: string): Promise<boolean> {
  try {
    const facts = await stat(path);
    return !facts.isFile() || facts.size > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
