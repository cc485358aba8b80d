import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { KosError } from '#core/errors.ts';
import { identifyProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

export interface ChildOptions {
  /** What people call it: `postgres`, `worker`. */
  name: string;
  file: string;
  args: string[];
  cwd: string;
  /** The whole environment: nothing is inherited unasked. */
  env: Record<string, string | undefined>;
  /** The unix account to run as; undefined means ours. */
  account?: { uid: number; gid: number } | undefined;
  onLine: (line: string, stream: 'stdout' | 'stderr') => void;
  /** Opens an IPC channel; the child sees it close when we die. */
  channel?: ((message: unknown) => void) | undefined;
}

/** How a process ended; exactly one of code and signal is set. */
export interface ExitFacts {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface StopStep {
  signal: NodeJS.Signals;
  /** How long it may take after this signal before the next step is tried. */
  graceMs: number;
}

export interface RunningChild {
  identity: ProcessIdentity;
  /** Resolves once it has ended and its last line was read. */
  exited: Promise<ExitFacts>;
  send: (message: unknown) => void;
  /** Tries one signal after the other until it ends; the last resort is always SIGKILL. */
  stop: (steps: StopStep[]) => Promise<ExitFacts>;
}

/** Longer lines are cut: a part that writes without line breaks must not fill our memory. */
const maxLineLength = 64 * 1024;

/** How long to read on after the end of a process whose own children keep its streams open. */
const lastLinesMs = 1_000;

export async function startChild(options: ChildOptions): Promise<RunningChild> {
  const child = spawn(options.file, options.args, {
    cwd: options.cwd,
    env: options.env,
    stdio: options.channel === undefined ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'pipe', 'pipe', 'ipc'],
    // Its own process group: Ctrl-C on the terminal reaches the supervisor alone, which then stops all in order.
    detached: process.platform !== 'win32',
    ...(options.account === undefined ? {} : options.account),
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(spawnFailure(options, cause)));
  });
  child.on('error', (error) => options.onLine(`kOS could not reach ${options.name}: ${error.message}`, 'stderr'));
  const { channel } = options;
  if (channel !== undefined) child.on('message', channel);

  const exited = new Promise<ExitFacts>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
    // A process of its own may hold the streams open after it: waited for, but not for long.
    child.once('exit', (code, signal) => setTimeout(() => resolve({ code, signal }), lastLinesMs));
  });
  readLines(child.stdout, (line) => options.onLine(line, 'stdout'));
  readLines(child.stderr, (line) => options.onLine(line, 'stderr'));
  const identity = (await identifyProcess(child.pid as number)) ?? { pid: child.pid as number, started: 'ended at once' };

  return {
    identity,
    exited,
    send: (message) => {
      if (child.connected) child.send(message as object);
    },
    stop: async (steps) => {
      for (const step of steps) {
        if (child.exitCode !== null || child.signalCode !== null) break;
        child.kill(step.signal);
        if (await endsWithin(exited, step.graceMs)) return exited;
      }
      child.kill('SIGKILL');
      return exited;
    },
  };
}

export async function endsWithin(exited: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([exited.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

export function describeExit(exit: ExitFacts): string {
  return exit.signal === null ? `ended with code ${exit.code}` : `was killed by ${exit.signal}`;
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxLineLength) {
      lines.push(rest);
      rest = '';
    }
    for (const line of lines) if (line.trim() !== '') onLine(line.slice(0, maxLineLength).trimEnd());
  });
  stream?.on('end', () => {
    if (rest.trim() !== '') onLine(rest);
  });
}

function spawnFailure(options: ChildOptions, cause: Error): KosError {
  return new KosError({
    code: 'process_not_started',
    message: `${options.name} could not be started from ${options.file}: ${cause.message}.`,
    fix: 'Check that the file exists and that this user may run it.',
    status: 500,
    cause,
  });
}
