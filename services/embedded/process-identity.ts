import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * One process, told apart from a later one with the same number. `started` is opaque: on Linux the machine's boot id and the start
 * in clock ticks (field 22 of /proc/<pid>/stat, see proc_pid_stat(5)), elsewhere what `ps` or PowerShell print as its start.
 */
export interface ProcessIdentity {
  pid: number;
  started: string;
}

/** Null when no such process runs (a zombie counts as gone: it holds nothing any more). */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | null> {
  const started = process.platform === 'linux' ? await startedOnLinux(pid) : await startedElsewhere(pid);
  return started === null ? null : { pid, started };
}

export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  const now = await identifyProcess(identity.pid);
  return now !== null && now.started === identity.started;
}

/** Polls: the processes asked about are not our children, so nothing tells us when they end. True when gone in time. */
export async function waitUntilGone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isRunning(identity)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return true;
}

/** Sends a signal, and says whether the process was there to take it. Checks the identity first, so never hits a stranger. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isRunning(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

async function startedOnLinux(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command name (field 2) stands in parentheses and may itself hold spaces and parentheses: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, threads, startTicks] = [fields[0], Number(fields[17]), fields[19]];
    // A killed process whose first thread has ended shows as a zombie while its other threads still hold files and sockets.
    const isOver = state === 'X' || (state === 'Z' && threads <= 1);
    if (isOver || startTicks === undefined) return null;
    return `${await bootId()}:${startTicks}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

let knownBootId: Promise<string> | undefined;

function bootId(): Promise<string> {
  knownBootId ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim());
  return knownBootId;
}

async function startedElsewhere(pid: number): Promise<string | null> {
  const [file, args] =
    process.platform === 'win32'
      ? (['powershell', ['-NoProfile', '-Command', `(Get-Process -Id ${pid}).StartTime.Ticks`]] as const)
      : (['ps', ['-o', 'lstart=', '-p', String(pid)]] as const);
  try {
    const { stdout } = await run(file, args, { timeout: 10_000 });
    return stdout.trim() === '' ? null : stdout.trim();
  } catch (error) {
    // Both commands end with 1 when there is no such process; a missing command is a fault of the machine.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    return null;
  }
}
