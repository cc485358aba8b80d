import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'postgresql',
  schema: [
    './services/database/tables/cache.ts',
    './services/database/tables/columns.ts',
    './services/database/tables/concurrency.ts',
    './services/database/tables/installation.ts',
    './services/database/tables/jobs.ts',
    './services/database/tables/outgoing.ts',
    './services/database/tables/people.ts',
    './services/database/tables/plans.ts',
    './services/database/tables/records.ts',
    './services/database/tables/runs.ts',
    './services/database/tables/schedules.ts',
    './services/database/tables/triggers.ts',
    './services/database/tables/waits.ts',
  ],
  out: './services/database/migrations',
  schemaFilter: ['kos'],
});
