import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { ApiDependencies } from './dependencies.ts';
import { describeRoutes } from './reference.ts';
import { makeRoutes } from './routes/index.ts';

it('is what documentation/api.md says; else run node scripts/generate-api-reference.ts', () => {
  const written = readFileSync(new URL('../../documentation/api.md', import.meta.url), 'utf8');
  expect(written).toBe(describeRoutes(makeRoutes({} as ApiDependencies)));
});
