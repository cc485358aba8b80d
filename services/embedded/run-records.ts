import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StopStep } from './child-process.ts';
import { signalProcess, waitUntilGone } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

/**
 * `$KOS_HOME/run/<part>.json` says which process is a part of this installation, so that a start after a crash can end what was left
 * behind: by process id and start time, never by name.
 */
export async function recordPart(home: string, part: string, identity: ProcessIdentity): Promise<void> {
  await mkdir(join(home, 'run'), { recursive: true, mode: 0o700 });
  await writeJsonFile(recordFile(home, part), identity);
}

export async function forgetPart(home: string, part: string): Promise<void> {
  await rm(recordFile(home, part), { force: true });
}

/** Ends the recorded process if it still runs, gently first. Returns the process id that was swept, or null. */
export async function sweepPart(home: string, part: string, steps: StopStep[]): Promise<number | null> {
  const identity = await readRecord(home, part);
  if (identity === null) return null;
  const swept = await endProcess(identity, steps);
  await forgetPart(home, part);
  return swept ? identity.pid : null;
}

/** True when it ran and was ended. */
export async function endProcess(identity: ProcessIdentity, steps: StopStep[]): Promise<boolean> {
  let found = false;
  for (const step of [...steps, { signal: 'SIGKILL', graceMs: 5_000 } as const]) {
    if (!(await signalProcess(identity, step.signal))) return found;
    found = true;
    if (await waitUntilGone(identity, step.graceMs)) return true;
  }
  return found;
}

async function readRecord(home: string, part: string): Promise<ProcessIdentity | null> {
  const record = await readJsonFile(recordFile(home, part));
  if (typeof record !== 'object' || record === null || !('pid' in record) || !('started' in record)) return null;
  const { pid, started } = record;
  return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : null;
}

const recordFile = (home: string, part: string): string => join(home, 'run', `${part}.json`);

/** Null when the file is missing or half-written (a crash of the whole machine can leave an empty file). */
export async function readJsonFile(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Atomic, and for the owner's eyes only. */
export async function writeJsonFile(file: string, value: unknown): Promise<void> {
  const draft = `${file}.${process.pid}.new`;
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, file);
}
