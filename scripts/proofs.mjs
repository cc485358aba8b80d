#!/usr/bin/env node
/** `npm run proofs`: the tests that `npm test` runs at a smaller size, at the size that the documents' figures are about. No dependencies; Node >= 20 starts it. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = 'tests/integration';
const place = join(dirname(dirname(fileURLToPath(import.meta.url))), folder);
const names = (await readdir(place)).filter((name) => name.endsWith('.test.ts'));
const sized = await Promise.all(names.map(async (name) => (await readFile(join(place, name), 'utf8')).includes('proofSize(')));

process.env.KOS_PROOFS = 'whole';
process.argv.push(...names.filter((_, index) => sized[index]).map((name) => `${folder}/${name}`));
await import('./test.mjs');
