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
  /** Traces that belong to no item. */
  foreign: number;
}

/** A trace is a line in a file of the run's folder; its number (of the file's name, or of the line) is the item's index. */
export async function countTraces(folder: string, items: number): Promise<TraceCount> {
  const traces = new Map<number, number>();
  let foreign = 0;
  for (const name of await listFiles(folder)) {
    const item = Number(/(\d+)(?=\D*$)/.exec(name)?.[1] ?? Number.NaN);
    const lines = (await readFile(join(folder, name), 'utf8')).split('\n').filter((line) => line !== '').length;
    if (Number.isInteger(item) && item < items) traces.set(item, (traces.get(item) ?? 0) + lines);
    else foreign += 1;
  }
  const counts = Array.from({ length: items }, (_, item) => traces.get(item) ?? 0);
  return {
    exact: counts.filter((count) => count === 1).length,
    missing: counts.filter((count) => count === 0).length,
    doubled: counts.filter((count) => count > 1).length,
    foreign,
  };
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
