import { readdir, readFile } from 'node:fs/promises';

/** What Linux tells of processes: /proc/<pid>/stat and smaps_rollup, see proc(5). */
interface ProcessTimes {
  parent: number;
  /** Of the process itself, ms. */
  ownMs: number;
  /** Of its children that have ended and were waited for, ms. */
  endedChildrenMs: number;
}

/** USER_HZ, the unit of times in /proc/<pid>/stat: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

async function readTimes(pid: number): Promise<ProcessTimes | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (stat === null) return null;
  // Fields from the third on: the second, the command's name, may hold anything but ends with the last parenthesis.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [, parent = 0] = fields;
  const [own, system, endedOwn, endedSystem] = [11, 12, 13, 14].map((field) => fields[field] ?? 0) as [number, number, number, number];
  const milliseconds = (ticks: number): number => (ticks * 1_000) / ticksPerSecond;
  return { parent, ownMs: milliseconds(own + system), endedChildrenMs: milliseconds(endedOwn + endedSystem) };
}

/** Processor time that a process has used so far, ms; with its children, those that have ended included. */
export async function readCpuMs(pid: number, options: { withChildren: boolean }): Promise<number> {
  const times = await readTimes(pid);
  if (times === null) throw new Error(`Process ${pid} is gone.`);
  if (!options.withChildren) return times.ownMs;
  const children = await Promise.all((await descendants(pid)).map(readTimes));
  return times.ownMs + times.endedChildrenMs + children.reduce((sum, child) => sum + (child?.ownMs ?? 0) + (child?.endedChildrenMs ?? 0), 0);
}

/** Process ids of all that descend from `pid`. */
export async function descendants(pid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  for (const candidate of pids) {
    const times = await readTimes(candidate);
    if (times !== null) parents.set(candidate, times.parent);
  }
  const found = new Set([pid]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const [candidate, parent] of parents) if (found.has(parent)) found.add(candidate);
  }
  found.delete(pid);
  return [...found];
}

export interface MemoryOfProcess {
  pid: number;
  command: string;
  /** Proportional set size, bytes: shared pages are divided among those who share them, so that sums are true. */
  pssBytes: number;
}

export async function readMemory(pid: number): Promise<MemoryOfProcess | null> {
  const [rollup, command] = await Promise.all([
    readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => null),
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
  ]);
  const kilobytes = rollup === null ? null : /^Pss:\s+(\d+) kB/m.exec(rollup);
  if (kilobytes === null) return null;
  return { pid, command: command.replaceAll('\0', ' ').trim(), pssBytes: Number(kilobytes[1]) * 1_024 };
}
