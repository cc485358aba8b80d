import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiDependencies } from '#web/api/dependencies.ts';
import { describeApi } from '#web/api/openapi.ts';
import { makeRoutes } from '#web/api/routes/index.ts';
import { type ApiDocument, breaksOf } from './api-breaks.ts';
import { conclude, projectRoot } from './project-files.ts';

/** Fails when a client of the last release could break: what it sent is refused, or what it read is gone. */
const folder = join(projectRoot, 'web', 'api', 'released');
// Names carry the version, and sort by it while its parts have one digit.
const last = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .toSorted()
  .at(-1);
if (last === undefined) throw new Error(`There is no released API in ${folder}.`);
const released = JSON.parse(readFileSync(join(folder, last), 'utf8')) as ApiDocument;
// Describing calls no handler, so there is nothing to depend on.
const current = describeApi(makeRoutes({} as ApiDependencies), { version: 'next', publicUrl: 'http://127.0.0.1:3000' }) as ApiDocument;

conclude(
  breaksOf(released, current).map((fault) => `${fault} (against ${last})`),
  `${Object.keys(current.paths).length} paths against ${last}`,
);
