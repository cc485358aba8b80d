#!/usr/bin/env node
/** `npm run proofs`: the tests that `npm test` runs at a smaller size, at the size that the documents' figures are about. No dependencies; Node >= 20 starts it. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folders = ['tests/integration', 'web/api'];
const listed = await Promise.all(folders.map(async (folder) => (await readdir(join(root, folder))).map((name) => `${folder}/${name}`)));
const paths = listed.flat().filter((path) => path.endsWith('.test.ts'));
const sized = await Promise.all(paths.map(async (path) => (await readFile(join(root, path), 'utf8')).includes('proofSize(')));

process.env.KOS_PROOFS = 'whole';
process.argv.push(...paths.filter((_, index) => sized[index]));
await import('./test.mjs');
