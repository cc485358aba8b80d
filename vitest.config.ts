import { defineConfig } from 'vitest/config';

const integration = ['tests/integration/**/*.test.ts', 'tests/replay/**/*.test.ts', '**/*.integration.test.ts'];
const never = ['**/node_modules/**', '**/.kos/**', '**/dist/**'];

export default defineConfig({
  test: {
    pool: 'forks',
    // Two cores are what a small machine has; the servers need their share.
    maxWorkers: 2,
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
