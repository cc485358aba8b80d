import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isRunning } from '#services/embedded/process-identity.ts';
import { readJsonFile } from '#services/embedded/run-records.ts';

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

/** Where the kOS of this home listens; null: it has not said so yet. */
export async function readOwnPort(home: string): Promise<number | null> {
  const facts = await readJsonFile(join(home, 'run', 'part-facts.json'));
  return typeof facts === 'object' && facts !== null && 'port' in facts && typeof facts.port === 'number' ? facts.port : null;
}

/** Null: no such record, or not one of ours. */
export async function readPartRecord(home: string, part: string): Promise<{ pid: number; started: string } | null> {
  const record = await readJsonFile(join(home, 'run', `${part}.json`));
  if (typeof record !== 'object' || record === null || !('pid' in record) || !('started' in record)) return null;
  return typeof record.pid === 'number' && typeof record.started === 'string' ? { pid: record.pid, started: record.started } : null;
}
