import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { cacheFolder } from '#scripts/setup.mjs';

const integration = ['tests/integration/**/*.test.ts', 'tests/replay/**/*.test.ts', '**/*.integration.test.ts'];
const never = ['**/node_modules/**', '**/.kos/**', '**/dist/**'];

export default defineConfig({
  test: {
    pool: 'forks',
    // As `npm start` does: the workers, supervisors and command lines that tests start by the hundred find what they load compiled.
    env: { NODE_COMPILE_CACHE: join(cacheFolder(), 'compiled') },
    // Modules keep no state that a test could change for the next one, and loading them anew for every file cost more than half of all processor time.
    isolate: false,
    // One more than the two cores of a small machine: tests of the whole system wait about as long as they compute.
    maxWorkers: 3,
    // Guards against stalls, not against busy machines.
    testTimeout: 120_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{schemas,core,services,activities,workflows,workers,web,cli,tests,scripts}/**/*.test.ts'],
          exclude: [...never, ...integration],
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: integration,
          exclude: never,
          // One Postgres and one Temporal for the whole run; each test makes its own database and task queue in them.
          globalSetup: ['tests/rig/global-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
