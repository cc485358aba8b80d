import type { TestProject } from 'vitest/node';
import { environment } from '#config';
import { startTestServers } from './servers.ts';
import type { TestServers } from './servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    servers: TestServers;
  }
}

/** vitest runs this once per test run; tests read the facts by `inject('servers')`. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const servers = await startTestServers(environment);
  project.provide('servers', servers.facts);
  return servers.stop;
}
