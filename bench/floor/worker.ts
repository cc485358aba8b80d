import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import pino from 'pino';
import { endWithSupervisor } from '#services/embedded/part.ts';
import { createSealing } from '#services/sealing/sealing.ts';
import { createDataConverter, failureConverterPath } from '#services/temporal/data-converter.ts';
import { connectionTuning, installRuntime, workerTuning } from '#workers/create-worker.ts';

/** `node worker.ts ADDRESS NAMESPACE QUEUE [KEYS]`: hand-written workflows under the very options of the product's worker; with its keys, sealed as its are. */
const [, , address = '', namespace = '', taskQueue = '', keys] = process.argv;
const log = pino({ name: 'floor' });
installRuntime(log);
const workflowBundle = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('./workflows.ts', import.meta.url)),
  logger: new DefaultLogger('WARN'),
  ...(keys === undefined ? {} : { failureConverterPath }),
});
const connection = await NativeConnection.connect({ address, ...connectionTuning });
const worker = await Worker.create({
  ...workerTuning,
  connection,
  namespace,
  taskQueue,
  workflowBundle,
  activities: { noop: async (value: unknown) => value },
  ...(keys === undefined
    ? {}
    : { dataConverter: createDataConverter({ sealing: await createSealing({ directory: keys, purpose: 'payload' }), namespace, refuse: 'throw' }) }),
});
endWithSupervisor(async () => worker.shutdown(), 5_000);
log.info('floor: polling');
await worker.run();
await connection.close();
