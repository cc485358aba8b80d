import pino from 'pino';
import { installRuntime } from '#workers/create-worker.ts';

let installed = false;

/** The SDK's own lines would drown what tests say. Once per process, before anything of the SDK. */
export function quietRuntime(): void {
  if (!installed) installRuntime(pino({ level: 'silent' }));
  installed = true;
}
