import { readFileSync, writeFileSync } from 'node:fs';
import type { ApiDependencies } from '#web/api/dependencies.ts';
import { describeApi } from '#web/api/openapi.ts';
import { makeRoutes } from '#web/api/routes/index.ts';

// At a release: node scripts/release-api.ts. Keeps the API as this version has it; the check `api` holds later ones against it.
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
const file = new URL(`../web/api/released/openapi-${version}.json`, import.meta.url);
const document = describeApi(makeRoutes({} as ApiDependencies), { version, publicUrl: 'http://127.0.0.1:3000' });
writeFileSync(file, `${JSON.stringify(document)}\n`);
