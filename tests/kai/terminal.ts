import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { launcher } from './run-kai.ts';

/** util-linux's `script` gives a program a terminal; other systems spell it otherwise or have none. */
const script = '/usr/bin/script';
export const hasTerminal = process.platform === 'linux' && existsSync(script);

export interface TerminalSession {
  /** Resolves once the screen, less its control codes, has shown the text after everything that was waited for before. */
  shows(text: string): Promise<void>;
  type(keys: string): void;
  /** Everything shown, and the exit code. */
  finished: Promise<{ code: number | null; screen: string; raw: string }>;
}

export const keys = { enter: '\r', interrupt: '\u0003' };

/** Runs the real program with standard input, output and error on a terminal of 100 × 30. */
export function kaiOnTerminal(words: string[], home: string): TerminalSession {
  const quoted = [process.execPath, launcher, ...words].map((word) => `'${word}'`).join(' ');
  const child = spawn(script, ['-qefc', `stty cols 100 rows 30; ${quoted}`, '/dev/null'], {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, XDG_CACHE_HOME: join(tmpdir(), 'kos-kai-cache'), KOS_HOME: home, TERM: 'xterm-256color', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let raw = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    raw += chunk;
    child.emit('shown');
  });
  const { promise: finished, resolve } = Promise.withResolvers<{ code: number | null; screen: string; raw: string }>();
  child.on('close', (code) => resolve({ code, screen: stripVTControlCharacters(raw), raw }));
  child.stdin.on('error', () => undefined); // it may end before it has read what was typed
  return {
    finished,
    type: (text) => void child.stdin.write(text),
    shows: (text) =>
      new Promise((done, fail) => {
        const look = (): void => {
          const at = stripVTControlCharacters(raw).indexOf(text, seen);
          if (at === -1) return;
          seen = at + text.length;
          child.off('shown', look);
          done();
        };
        child.on('shown', look);
        child.on('close', () => fail(new Error(`kai ended without showing "${text}". The screen was:\n${stripVTControlCharacters(raw)}`)));
        look();
      }),
  };
}
