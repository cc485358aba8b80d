/** A worker in a process of its own, so that a test can kill it. `node worker-process.ts FACTS`: EngineFacts as JSON. Says `polling` when it works. */
import { flushCompileCache } from 'node:module';
import { type EngineFacts, startEngineWorker } from './engine-worker.ts';
import { quietRuntime } from './quiet-runtime.ts';

const [, , facts] = process.argv;
if (facts === undefined) throw new Error('usage: worker-process.ts FACTS');
quietRuntime();
const worker = await startEngineWorker(JSON.parse(facts) as EngineFacts);
// It ends with the test that started it, even when that test was killed.
process.once('disconnect', () => void worker.stop());
process.send?.('polling');
// It ends by SIGKILL: what it has compiled is kept now, for the next one.
flushCompileCache();
