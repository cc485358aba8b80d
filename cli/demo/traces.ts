import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What the items of a fan-out have left in the world, counted by looking at it, not by asking kOS. */
export interface TraceCount {
  /** Items that have left exactly one trace. */
  exact: number;
  /** Items without a trace. */
  missing: number;
  /** Items with more than one, or whose trace was made anew since it was marked. */
  doubled: number;
  /** Files that are no whole trace of an item of this run. */
  foreign: number;
}

/** What tells whether a file is still the one that it was, by its name. A file that is made or written again has another inode, or another time of its last change. */
export type TraceMarks = ReadonlyMap<string, string>;

/** Of every file that is there now. */
export async function markTraces(folder: string): Promise<TraceMarks> {
  const marks = new Map<string, string>();
  for (const name of await listNames(folder)) marks.set(name, await readMark(join(folder, name)));
  return marks;
}

async function readMark(path: string): Promise<string> {
  const { ino, mtimeNs } = await stat(path, { bigint: true });
  return `${ino} ${mtimeNs}`;
}

/**
 * Each trace is a file that names its run and its item's index inside, as `examples/fan-out.plan.yaml` writes it; names of files prove nothing.
 * An effect that is done again under the same name leaves one file as before: `earlier` marks, if any, show it.
 */
export async function countTraces(folder: string, runId: string, items: number, earlier: TraceMarks = new Map()): Promise<TraceCount> {
  const found = new Array<number>(items).fill(0);
  let foreign = 0;
  for (const name of await listNames(folder)) {
    const index = await readIndex(join(folder, name), runId);
    if (index === null || index >= items) {
      foreign += 1;
      continue;
    }
    const mark = earlier.get(name);
    const madeAnew = mark !== undefined && mark !== (await readMark(join(folder, name)));
    found[index] = (found[index] ?? 0) + (madeAnew ? 2 : 1);
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
