#!/usr/bin/env node
/**
 * `npm test`: installs what is missing, runs every check and every test, and closes with one line of totals. No dependencies; Node >= 20 starts it,
 * what it starts runs under Node 24.
 *
 *   npm test                                everything
 *   npm test -- --only lint,types           some stages
 *   npm test -- --except tests              all but some (npm run check)
 *   npm test -- core/engine tests/replay    some tests, by path
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { selectStages, testStage } from './checks/stages.mjs';
import { addTotals, closingLine, totalsOfVitest } from './checks/test-totals.mjs';
import { ensureInstalled, findNode24 } from './setup.mjs';

/** How long a stage that ran out of time may take to clean up before it is killed. */
const graceMs = 15_000;
const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));

const usageExitCode = 2;

process.exitCode = await main(process.argv.slice(2));

/** @param {string[]} words @returns {Promise<number>} exit code */
async function main(words) {
  let selection;
  try {
    selection = selectStages(words);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return usageExitCode;
  }
  const totals = await runSelection(selection);
  console.log(closingLine(totals));
  return totals.failed === 0 ? 0 : 1;
}

/** @param {import('./checks/stages.mjs').Selection} selection */
async function runSelection(selection) {
  let node;
  try {
    await ensureInstalled();
    node = findNode24();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  let totals = { passed: 0, failed: 0, skipped: 0 };
  for (const stage of selection.checks) {
    totals = addTotals(totals, await runCheck(node, stage));
  }
  if (selection.tests) {
    totals = addTotals(totals, await runTests(node, selection.testFilters));
  }
  return totals;
}

/** @param {string} node @param {import('./checks/stages.mjs').Stage} stage */
async function runCheck(node, stage) {
  const startedAt = performance.now();
  const outcome = await run(node, stage.arguments, { timeoutMs: stage.timeoutMs, inherit: false });
  const ok = outcome.exitCode === 0;
  report(ok, stage, startedAt);
  if (!ok) {
    console.log(outcome.output.trimEnd());
  }
  return ok ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

/** @param {string} node @param {string[]} filters */
async function runTests(node, filters) {
  const startedAt = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'kos-test-report-'));
  const reportPath = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`];
    const outcome = await run(node, [...testStage.arguments, ...reporters, ...filters], { timeoutMs: testStage.timeoutMs, inherit: true });
    const totals = totalsOfVitest(await readReport(reportPath), outcome.exitCode);
    report(totals.failed === 0, testStage, startedAt);
    return totals;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Null when vitest ended before it wrote its report: counted as a failure, never as nothing. @param {string} path */
async function readReport(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    console.error(`vitest left no readable report: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}

/** @param {boolean} ok @param {{ name: string, says: string }} stage @param {number} startedAt */
function report(ok, stage, startedAt) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(6);
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${stage.name.padEnd(12)} ${seconds} s  ${stage.says}`);
}

/**
 * @param {string} node
 * @param {string[]} commandArguments
 * @param {{ timeoutMs: number, inherit: boolean }} options inherit: the output goes straight to the terminal, as it comes
 * @returns {Promise<{ exitCode: number | null, output: string }>}
 */
function run(node, commandArguments, { timeoutMs, inherit }) {
  const path = [dirname(node), process.env.PATH].join(delimiter);
  const child = spawn(node, commandArguments, {
    cwd: projectRoot,
    env: { ...process.env, PATH: path },
    stdio: inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text) => (output += text));
  const timers = [
    setTimeout(() => {
      console.error(`stopped after ${timeoutMs / 1000} s: ${commandArguments.join(' ')}`);
      child.kill('SIGTERM');
    }, timeoutMs),
    setTimeout(() => child.kill('SIGKILL'), timeoutMs + graceMs),
  ];
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => {
      timers.forEach((timer) => clearTimeout(timer));
      resolve({ exitCode, output });
    });
  });
}
