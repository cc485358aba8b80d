import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { failureConverterPath } from '#services/temporal/data-converter.ts';

/** `node build-workflow-bundle.ts FILE`: writes the bundle whole or not at all, so that several processes may build at once. */
const [, , file] = process.argv;
if (file === undefined) throw new Error('usage: build-workflow-bundle.ts FILE');
const workflowsPath = fileURLToPath(new URL('../../workflows/index.ts', import.meta.url));
const { code } = await bundleWorkflowCode({
  workflowsPath,
  failureConverterPath,
  // Loaded once for all runs instead of once for each: our modules keep no state of their own (and are frozen).
  preloadModules: [workflowsPath],
  logger: new DefaultLogger('WARN'),
});
await mkdir(dirname(file), { recursive: true });
await writeFile(`${file}.${process.pid}`, code);
await rename(`${file}.${process.pid}`, file);
