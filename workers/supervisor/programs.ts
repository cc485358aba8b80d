import { join } from 'node:path';
import { projectRoot } from '#config';
import type { NodeProgram } from './node-part.ts';

/**
 * Space for what lives shortly, in MB. A worker makes much of it at every step: with 4 it spent a tenth of its time collecting; what it does not need it gives back.
 * The API answers one request at a time.
 */
export const workerProgram: NodeProgram = {
  name: 'worker',
  file: join(projectRoot, 'workers', 'worker.ts'),
  nodeOptions: ['--max-semi-space-size=16', '--expose-gc'],
  graceMs: 4_000,
};

export const apiProgram: NodeProgram = {
  name: 'api',
  file: join(projectRoot, 'web', 'api', 'main.ts'),
  nodeOptions: ['--max-semi-space-size=4', '--expose-gc'],
  graceMs: 1_500,
};
