/** The real supervisor over the real Postgres and Temporal, with a worker and an API that do nothing but come up. */
import { join } from 'node:path';
import { environment, projectRoot, readConfiguration } from '#config';
import { prepareDatabase } from '#services/database/prepare.ts';
import { explainFailure, runSupervisor } from '#workers/supervisor/run-supervisor.ts';

const end = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => end.abort());
const program = (name: string): { name: string; file: string; nodeOptions: string[]; graceMs: number } => ({
  name,
  file: join(projectRoot, 'tests', 'rig', 'tiny-parts', `${process.argv[2] === `broken-${name}` ? 'broken' : name}.ts`),
  nodeOptions: [],
  graceMs: 2_000,
});

try {
  await runSupervisor({
    configuration: readConfiguration(environment),
    projectRoot,
    environment,
    worker: program('worker'),
    api: program('api'),
    prepareDatabase,
    print: (line) => console.log(line),
    end: end.signal,
    isTerminal: false,
    showExample: false,
  });
  process.exit(0);
} catch (error) {
  console.error(explainFailure(error));
  process.exit(1);
}
