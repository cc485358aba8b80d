import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { projectRoot } from '#config';

export interface KaiResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface KaiProcess {
  finished: Promise<KaiResult>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves once standard error holds the text. */
  says(text: string): Promise<void>;
}

export interface KaiOptions {
  home: string;
  input?: string;
  env?: Record<string, string>;
  cwd?: string;
  /** What is run instead of the launcher under our Node. */
  command?: string[];
}

export const launcher = join(projectRoot, 'cli', 'kai.mjs');

/** A `$KOS_HOME` as a start leaves it for kai: the key file. It is gone with the test that asked for it. */
export async function makeHome(server?: { url: string; apiKey: string }): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'kos-kai-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  if (server !== undefined) await writeFile(join(home, 'cli.json'), JSON.stringify({ url: server.url, apiKey: server.apiKey }), { mode: 0o600 });
  return home;
}

/** The real program, as its own process, without a terminal. */
export function spawnKai(words: string[], options: KaiOptions): KaiProcess {
  const [program = '', ...before] = options.command ?? [process.execPath, launcher];
  const child = spawn(program, [...before, ...words], {
    cwd: options.cwd ?? options.home,
    env: { PATH: process.env['PATH'], HOME: options.home, XDG_CACHE_HOME: join(tmpdir(), 'kos-kai-cache'), KOS_HOME: options.home, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const { promise: started, resolve: closed } = Promise.withResolvers<KaiResult>();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
    child.emit('said');
  });
  child.on('close', (code) => closed({ code, stdout, stderr }));
  // A command that ends without reading its input closes it: that is no fault of the test.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  return {
    finished: started,
    kill: (signal) => void child.kill(signal),
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (stderr.includes(text)) resolve();
        };
        child.on('said', look);
        child.on('close', () => reject(new Error(`kai ended without saying "${text}". It said:\n${stderr}`)));
        look();
      }),
  };
}

export const runKai = (words: string[], options: KaiOptions): Promise<KaiResult> => spawnKai(words, options).finished;
