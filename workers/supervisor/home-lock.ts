import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { claimFile } from '#services/embedded/claim.ts';
import { identifyProcess } from '#services/embedded/process-identity.ts';
import { writeJsonFile } from '#services/embedded/run-records.ts';
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
  const holder = await claimFile(file, own, readHolder).catch((cause: unknown) => {
    throw new KosError({
      code: 'home_in_use',
      message: `The start on ${home} failed: ${(cause as Error).message}.`,
      fix: 'Start one at a time.',
      status: 409,
      cause,
    });
  });
  if (holder !== null) throw inUse(home, holder);
  return {
    announce: (url) => writeJsonFile(file, { ...own, url }),
    release: () => rm(file, { force: true }),
  };
}

function readHolder(value: unknown): Holder | null {
  const parsed = holderSchema.safeParse(value);
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
