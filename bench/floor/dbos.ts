import { DBOS } from '@dbos-inc/dbos-sdk';
import { endWithSupervisor } from '#services/embedded/part.ts';

/**
 * `node dbos.ts DATABASE_URL`: the same steps as a DBOS workflow on the same Postgres server, in a process of its own as the product's worker is. Asked
 * by messages `{ id, count, payload }`, it answers `{ id, spanMs }`: from the start of the workflow to its result, both in this process.
 */
const [, , systemDatabaseUrl = ''] = process.argv;

interface Request {
  id: number;
  count: number;
  payload: string;
}

DBOS.setConfig({ name: 'kos-bench', systemDatabaseUrl, systemDatabasePoolSize: 20, logLevel: 'error', enableOTLP: false });

/** `count` steps in a row, each given what the one before gave, each with a checkpoint of its own. */
const linear = DBOS.registerWorkflow(
  async (count: number, payload: string): Promise<string> => {
    let result = payload;
    for (let step = 0; step < count; step += 1) {
      const given = result;
      result = await DBOS.runStep(async () => given, { name: `s${step}` });
    }
    return result;
  },
  { name: 'linear' },
);

await DBOS.launch();
process.on('message', (message) => {
  const { id, count, payload } = message as Request;
  void answer(id, count, payload);
});
endWithSupervisor(async () => {
  await DBOS.shutdown();
  process.exit(0);
}, 5_000);
console.log('dbos: ready');

async function answer(id: number, count: number, payload: string): Promise<void> {
  const since = performance.now();
  const handle = await DBOS.startWorkflow(linear)(count, payload);
  await handle.getResult();
  process.send?.({ id, spanMs: performance.now() - since });
}
