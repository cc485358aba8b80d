import { randomUUID } from 'node:crypto';
import { link, readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, type ProcessIdentity } from './process-identity.ts';
import { readJsonFile, writeJsonFile } from './run-records.ts';

/** What a claim file says: which process holds it, and what else its users want to know. Null: half-written, or something else. */
export type ReadHolder<Holder extends ProcessIdentity> = (value: unknown) => Holder | null;

const tries = 50;
const removalTakesMs = 10;

/**
 * One process at a time holds a file: it is told apart by id and start time, so that the claim of a killed one is known to be stale. Answers who holds it
 * instead; null: it is ours, until we remove it. Throws when several processes go on taking it from each other.
 */
export async function claimFile<Holder extends ProcessIdentity>(file: string, own: Holder, read: ReadHolder<Holder>): Promise<Holder | null> {
  const draft = `${file}.${randomUUID()}.claim`;
  await writeJsonFile(draft, own);
  try {
    return await claim(file, draft, read);
  } finally {
    await rm(draft, { force: true });
  }
}

/** `link` fails when the name is taken, and so lets exactly one of several processes win. */
async function claim<Holder extends ProcessIdentity>(file: string, draft: string, read: ReadHolder<Holder>): Promise<Holder | null> {
  for (let attempt = 1; attempt <= tries; attempt += 1) {
    if (await linked(draft, file)) return null;
    const holder = read(await readJsonFile(file));
    if (holder !== null && (await isRunning(holder))) return holder;
    await removeStale(file, draft, read);
  }
  throw new Error(`several processes compete for ${file}`);
}

/**
 * Whoever removes a stale claim has a claim of its own on doing so: else one process could remove what another has just put in the place of the stale one.
 * What it then reads stays as it is: a dead holder does not release, and no living one is removed.
 */
async function removeStale<Holder extends ProcessIdentity>(file: string, draft: string, read: ReadHolder<Holder>): Promise<void> {
  const removal = `${file}.removal`;
  if (!(await linked(draft, removal))) {
    const remover = read(await readJsonFile(removal));
    if (remover === null || !(await isRunning(remover))) await rm(removal, { force: true });
    else await sleep(removalTakesMs);
    return;
  }
  try {
    const text = await readFile(file, 'utf8').catch(nothingThere);
    if (text === null) return;
    const holder = read(parsed(text));
    if (holder === null || !(await isRunning(holder))) await rm(file, { force: true });
  } finally {
    await rm(removal, { force: true });
  }
}

async function linked(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function nothingThere(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}

/** Null: half of it, as a crash of the machine can leave. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
