#!/usr/bin/env node
/** `npm start`: installs what is missing, then hands over to the supervisor under Node 24. No dependencies; Node >= 20 starts it. */
import { spawn } from 'node:child_process';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { cacheFolder, ensureInstalled, findNode24 } from './setup.mjs';

/** As in package.json's `start`: a supervisor makes much short garbage at its start and little later; with Node's default it keeps 100 MB for it. */
const memoryOptions = ['--max-semi-space-size=2', '--max-old-space-size=128'];
const supervisor = join(dirname(dirname(fileURLToPath(import.meta.url))), 'workers', 'supervisor.ts');

try {
  await ensureInstalled();
  const node = findNode24();
  // Compiled code, types already stripped, is kept between starts; parts inherit the variable.
  process.env['NODE_COMPILE_CACHE'] ??= join(cacheFolder(), 'compiled');
  // npm puts the installed Node 24 first on PATH, so from the second start on this process can be the supervisor itself.
  if (node === process.execPath && memoryOptions.every((option) => process.execArgv.includes(option))) {
    // Node 20, which can start us, has no such function.
    nodeModule.enableCompileCache?.(process.env['NODE_COMPILE_CACHE']);
    await import(pathToFileURL(supervisor).href);
  } else {
    process.exitCode = await handOver(node);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

/** @param {string} node @returns {Promise<number>} */
function handOver(node) {
  const child = spawn(node, [...memoryOptions, supervisor, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => child.kill(signal));
  }
  // On a terminal Ctrl-C reaches the child by itself; a SIGINT sent to this process alone is passed on (a second one changes nothing there).
  process.on('SIGINT', () => child.kill('SIGINT'));
  // npm's own end reaches us only as the loss of our parent (see supervisor.ts).
  const parent = process.ppid;
  setInterval(() => {
    if (process.env['npm_lifecycle_event'] !== undefined && process.ppid !== parent) child.kill('SIGTERM');
  }, 250).unref();
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`Node 24 could not be started from ${node}: ${error.message}`);
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}
