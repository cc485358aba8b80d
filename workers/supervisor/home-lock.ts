import { link, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { identifyProcess, isRunning } from '#services/embedded/process-identity.ts';
import { readJsonFile, writeJsonFile } from '#services/embedded/run-records.ts';
import { z } from 'zod';

const holderSchema = z.object({
  pid: z.number().int(),
  started: z.string(),
  since: z.string(),
  /** Null until it is known. */
  url: z.string().nullable(),
});

type Holder = z.infer<typeof holderSchema>;

export interface HomeLock {
  /** Lets a second start say where the first can be reached. */
  announce: (url: string) => Promise<void>;
  release: () => Promise<void>;
}

/**
 * One supervisor per `$KOS_HOME`: the file names its process by id and start time, so that the lock of a killed one is known to be stale.
 * Throws `home_in_use` with who holds it.
 */
export async function lockHome(home: string, now: Date): Promise<HomeLock> {
  const file = join(home, 'run', 'supervisor.json');
  const identity = await identifyProcess(process.pid);
  if (identity === null) throw new Error('This process is not in the process table.');
  const own: Holder = { ...identity, since: now.toISOString(), url: null };
  const draft = `${file}.${process.pid}.claim`;
  await writeJsonFile(draft, own);
  try {
    await claim(file, draft, home);
  } finally {
    await rm(draft, { force: true });
  }
  return {
    announce: (url) => writeJsonFile(file, { ...own, url }),
    release: () => rm(file, { force: true }),
  };
}

/** `link` fails when the name is taken, and so lets exactly one of several starts win. */
async function claim(file: string, draft: string, home: string): Promise<void> {
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    try {
      await link(draft, file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = await readHolder(file);
    if (holder !== null && (await isRunning(holder))) throw inUse(home, holder);
    await removeStale(file, draft);
  }
  throw new KosError({ code: 'home_in_use', message: `Several starts compete for ${home}.`, fix: 'Start one of them.', status: 409 });
}

/** Moved away before it is judged again: another start may have replaced the stale file since we read it, and then gets its own back. */
async function removeStale(file: string, draft: string): Promise<void> {
  const moved = `${draft}.stale`;
  try {
    await rename(file, moved);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const holder = await readHolder(moved);
  if (holder !== null && (await isRunning(holder))) await link(moved, file);
  await rm(moved, { force: true });
}

async function readHolder(file: string): Promise<Holder | null> {
  const parsed = holderSchema.safeParse(await readJsonFile(file));
  return parsed.success ? parsed.data : null;
}

function inUse(home: string, holder: Holder): KosError {
  const where = holder.url === null ? 'still starting' : `at ${holder.url}`;
  return new KosError({
    code: 'home_in_use',
    message: `kOS already runs on ${home}: process ${holder.pid}, since ${holder.since}, ${where}.`,
    fix: `Use that one, stop it (Ctrl-C there, or kill ${holder.pid}), or set KOS_HOME to another folder.`,
    status: 409,
  });
}
