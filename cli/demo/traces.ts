import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What the items of a fan-out have left in the world, counted by looking at it, not by asking kOS. */
export interface TraceCount {
  /** Items that have left exactly one trace. */
  exact: number;
  /** Items without a trace. */
  missing: number;
  /** Items with more than one. */
  doubled: number;
  /** Files that are no whole trace of an item of this run. */
  foreign: number;
}

/** Each trace is a file that names its run and its item's index inside, as `examples/fan-out.plan.yaml` writes it; names of files prove nothing. */
export async function countTraces(folder: string, runId: string, items: number): Promise<TraceCount> {
  const found = new Array<number>(items).fill(0);
  let foreign = 0;
  for (const name of await listNames(folder)) {
    const index = await readIndex(join(folder, name), runId);
    if (index !== null && index < items) found[index] = (found[index] ?? 0) + 1;
    else foreign += 1;
  }
  const howMany = (is: (count: number) => boolean): number => found.filter(is).length;
  return { exact: howMany((count) => count === 1), missing: howMany((count) => count === 0), doubled: howMany((count) => count > 1), foreign };
}

async function listNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Null: not a whole trace of that run. */
async function readIndex(path: string, runId: string): Promise<number | null> {
  try {
    const trace: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof trace !== 'object' || trace === null || !('run' in trace) || trace.run !== runId || !('index' in trace)) return null;
    return typeof trace.index === 'number' && Number.isInteger(trace.index) && trace.index >= 0 ? trace.index : null;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'EISDIR') return null;
    throw error;
  }
}
