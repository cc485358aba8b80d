/** Started by scripts/start.mjs under Node 24: brings up Postgres, Temporal, worker and API, and keeps them running. */
import { environment, projectRoot, readConfiguration } from '#config';
import { prepareDatabase } from '#services/database/prepare.ts';
import { readArguments, usage } from './supervisor/arguments.ts';
import { apiProgram, workerProgram } from './supervisor/programs.ts';
import { explainFailure, runSupervisor } from './supervisor/run-supervisor.ts';

const end = new AbortController();
// A second Ctrl-C changes nothing: the first one ends all within 10 s.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!end.signal.aborted) print('Stopping …');
    end.abort();
  });
}
// npm hands a SIGTERM to the shell between us, which ends without a word: that our parent is gone is all we hear of it. Started without npm,
// a parent that goes (a shell that put us in the background) means nothing.
if (environment['npm_lifecycle_event'] !== undefined) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end.abort();
  }, 250).unref();
}
// Whoever reads our output may go first (`npm start | head`): kOS goes on, and the logs have what is said.
let heard = true;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', () => {
    heard = false;
  });
}

function print(line: string): void {
  if (heard) process.stdout.write(`${line}\n`);
}

try {
  const words = readArguments(process.argv.slice(2));
  const configuration = readConfiguration(environment);
  if (words.help) {
    print(usage);
  } else {
    await runSupervisor({
      configuration: { ...configuration, port: words.port ?? configuration.port },
      projectRoot,
      environment,
      worker: workerProgram,
      api: apiProgram,
      prepareDatabase,
      print,
      end: end.signal,
      isTerminal: process.stdout.isTTY,
      showExample: true,
    });
    if (end.signal.aborted) print('Stopped.');
  }
  process.exit(0);
} catch (error) {
  process.stderr.write(`${explainFailure(error)}\n`);
  process.exit(1);
}
