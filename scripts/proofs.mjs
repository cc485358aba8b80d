#!/usr/bin/env node
/** `npm run proofs`: the tests that `npm test` runs at a smaller size, at the size that the documents' figures are about. No dependencies; Node >= 20 starts it. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const rooms = ['core', 'services', 'activities', 'workers', 'web', 'cli', 'tests'];
const files = await Promise.all(rooms.map(async (room) => (await readdir(join(root, room), { recursive: true })).map((name) => join(room, name))));
const tests = files.flat().filter((name) => name.endsWith('.test.ts'));
const sized = await Promise.all(tests.map(async (name) => (await readFile(join(root, name), 'utf8')).includes('proofSize(')));

process.env.KOS_PROOFS = 'whole';
process.argv.push(...tests.filter((_, index) => sized[index]));
await import('./test.mjs');
