import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import pino from 'pino';
import { endWithSupervisor } from '#services/embedded/part.ts';
import { connectionTuning, installRuntime, workerTuning } from '#workers/create-worker.ts';

/** `node worker.ts ADDRESS NAMESPACE QUEUE`: hand-written workflows under the very options of the product's worker. */
const [, , address = '', namespace = '', taskQueue = ''] = process.argv;
const log = pino({ name: 'floor' });
installRuntime(log);
const workflowBundle = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('./workflows.ts', import.meta.url)),
  logger: new DefaultLogger('WARN'),
});
const connection = await NativeConnection.connect({ address, ...connectionTuning });
const worker = await Worker.create({
  ...workerTuning,
  connection,
  namespace,
  taskQueue,
  workflowBundle,
  activities: { noop: async (payload: string) => payload },
});
endWithSupervisor(async () => worker.shutdown(), 5_000);
log.info('floor: polling');
await worker.run();
await connection.close();
