import { access, constants, statfs } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { z } from 'zod';
import { environment } from '#config';
import { isRunning } from '#services/embedded/process-identity.ts';
import { readJsonFile } from '#services/embedded/run-records.ts';
import { temporalVersion } from '#services/embedded/temporal-binary.ts';

export interface PartProcess {
  name: string;
  pid: number;
  running: boolean;
}

const recordedParts = ['supervisor', 'postgres', 'temporal', 'worker', 'api'];

export interface DiskFacts {
  freeBytes: number;
  /** Too little for new runs: they wait. */
  runsWait: boolean;
}

const neededFreeBytes = 1_000_000_000;

export async function readDisk(place: string): Promise<DiskFacts> {
  const { bavail, bsize } = await statfs(place);
  const freeBytes = bavail * bsize;
  return { freeBytes, runsWait: freeBytes < neededFreeBytes };
}

/** What `$KOS_HOME/run` says of this installation's processes, looked up by id and start time. Parts without a record are left out. */
export async function readPartProcesses(home: string): Promise<PartProcess[]> {
  const found = await Promise.all(
    recordedParts.map(async (name): Promise<PartProcess[]> => {
      const record = await readPartRecord(home, name);
      return record === null ? [] : [{ name, pid: record.pid, running: await isRunning(record) }];
    }),
  );
  return found.flat();
}

/** What the last start of this home has told its parts. */
const ownFactsSchema = z.object({
  port: z.number().nullable().catch(null),
  temporal: z.object({ address: z.string(), namespace: z.string() }).nullable().catch(null),
});

/** Where the kOS of this home listens, and which Temporal server it uses; each null: it has not said so yet. */
export async function readOwnFacts(home: string): Promise<z.infer<typeof ownFactsSchema>> {
  const facts = ownFactsSchema.safeParse(await readJsonFile(join(home, 'run', 'part-facts.json')));
  return facts.success ? facts.data : { port: null, temporal: null };
}

/** The Temporal program that a start would take: on PATH, else in the cache folder; null: neither. */
export async function findTemporalProgram(cache: string): Promise<{ path: string; onPath: boolean } | null> {
  const program = process.platform === 'win32' ? 'temporal.exe' : 'temporal';
  const path = (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const folder of [...path, join(cache, `temporal-${temporalVersion}`)]) {
    const candidate = join(folder, program);
    if (await isExecutable(candidate)) return { path: candidate, onPath: path.includes(folder) };
  }
  return null;
}

const isExecutable = async (path: string): Promise<boolean> =>
  await access(path, constants.X_OK).then(
    () => true,
    () => false, // missing or not ours to run: not a candidate
  );

/** Null: no such record, or not one of ours. */
export async function readPartRecord(home: string, part: string): Promise<{ pid: number; started: string } | null> {
  const record = await readJsonFile(join(home, 'run', `${part}.json`));
  if (typeof record !== 'object' || record === null || !('pid' in record) || !('started' in record)) return null;
  return typeof record.pid === 'number' && typeof record.started === 'string' ? { pid: record.pid, started: record.started } : null;
}
