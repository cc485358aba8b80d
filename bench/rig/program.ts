import { projectRoot } from '#config';
import { startChild } from '#services/embedded/child-process.ts';

/** One of our own Node programs, started as the supervisor would. */
export interface Program {
  pid: number;
  send(message: object): void;
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface ProgramOptions {
  name: string;
  /** Node's flags, the file, its arguments. */
  args: string[];
  env: Record<string, string | undefined>;
  /** It has started when a line of its holds this. */
  ready: string;
  onMessage?: (message: unknown) => void;
}

const readyTimeoutMs = 60_000;

export async function startProgram(options: ProgramOptions): Promise<Program> {
  const ready = Promise.withResolvers<void>();
  const lines: string[] = [];
  const child = await startChild({
    name: options.name,
    file: process.execPath,
    args: options.args,
    cwd: projectRoot,
    env: options.env,
    onLine: (line) => {
      lines.push(line);
      if (lines.length > 30) lines.shift();
      if (line.includes(options.ready)) ready.resolve();
    },
    // It ends when this process does.
    channel: options.onMessage ?? ((): void => undefined),
  });
  const failed = (why: string): Error => new Error(`The ${options.name} ${why}:\n${lines.join('\n')}`);
  const timer = setTimeout(() => ready.reject(failed('did not start in time')), readyTimeoutMs);
  void child.exited.then(() => ready.reject(failed('ended')));
  await ready.promise.finally(() => clearTimeout(timer));
  return {
    pid: child.identity.pid,
    send: (message) => child.send(message),
    stop: async () => {
      await child.stop([{ signal: 'SIGTERM', graceMs: 8_000 }]);
    },
    kill: async () => {
      process.kill(child.identity.pid, 'SIGKILL');
      await child.exited;
    },
  };
}
