#!/usr/bin/env node
/**
 * `kai`, whatever Node the system has and wherever it is called from: finds this checkout by its own real path (it is called through links),
 * then a Node 24, and hands over to main.ts. No dependencies; Node >= 20 starts it.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { cacheFolder, findNode24 } from '../scripts/setup.mjs';

// Node resolves links before it runs a module, so this is the checkout's own folder even when called as $KOS_HOME/bin/kai.
const folder = dirname(fileURLToPath(import.meta.url));
const projectRoot = dirname(folder);
const words = process.argv.slice(2);

if (words[0] === 'up' && !words.includes('--help') && !words.includes('-h')) {
  // The same as `npm start`, also where nothing is installed yet. In this process, so that Ctrl-C is told once.
  const start = join(projectRoot, 'scripts', 'start.mjs');
  process.argv = [process.execPath, start, ...words.slice(1)];
  await import(pathToFileURL(start).href);
} else if (!existsSync(join(projectRoot, 'node_modules', 'commander'))) {
  console.error(`error: kOS is not installed yet in ${projectRoot}.\nfix: run npm start there first (or kai up); it installs what is needed.`);
  process.exitCode = 1;
} else {
  const node = needNode24();
  if (node === null) process.exitCode = 1;
  else await runMain(node);
}

/** Null, and said why: this machine has none. */
function needNode24() {
  try {
    return findNode24();
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** @param {string} node */
async function runMain(node) {
  const main = join(folder, 'main.ts');
  // Compiled code is kept between calls: it saves a third of what a short command takes.
  const compileCache = process.env['NODE_COMPILE_CACHE'] ?? join(cacheFolder(), 'compiled');
  if (node === process.execPath || Number.parseInt(process.versions.node, 10) === 24) {
    module.enableCompileCache(compileCache);
    await import(pathToFileURL(main).href);
    return;
  }
  const child = spawn(node, [main, ...words], { stdio: 'inherit', env: { ...process.env, NODE_COMPILE_CACHE: compileCache } });
  for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGTERM', 'SIGHUP', 'SIGINT'])) {
    // On a terminal Ctrl-C reaches the child by itself as well; main.ts takes several as one.
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    console.error(`error: Node 24 could not be started from ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('close', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 1 : constants.signals[signal]);
  });
}
