#!/usr/bin/env node
/** `node scripts/run.mjs FILE …`: installs what is missing, then runs one of the project's programs under Node 24. No dependencies; Node >= 20 starts it. */
import { spawn } from 'node:child_process';
import { ensureInstalled, findNode24 } from './setup.mjs';

try {
  await ensureInstalled({ say: console.error });
  const child = spawn(findNode24(), process.argv.slice(2), { stdio: 'inherit' });
  // A terminal's Ctrl-C reaches the program by itself; it says when it has ended.
  for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
  child.on('close', (code) => (process.exitCode = code ?? 1));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
