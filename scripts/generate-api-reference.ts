import { writeFileSync } from 'node:fs';
import type { ApiDependencies } from '#web/api/dependencies.ts';
import { describeRoutes } from '#web/api/reference.ts';
import { makeRoutes } from '#web/api/routes/index.ts';

// Run after a change to the routes: node scripts/generate-api-reference.ts. Describing calls no handler, so there is nothing to depend on.
const file = new URL('../documentation/api.md', import.meta.url);
writeFileSync(file, describeRoutes(makeRoutes({} as ApiDependencies)));
