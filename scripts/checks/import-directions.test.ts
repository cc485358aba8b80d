import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { checkImportDirections } from './import-directions.ts';
import { readImports } from './import-graph.ts';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) {
    rmSync(folder, { recursive: true });
  }
});

function faultsOf(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'kos-imports-'));
  folders.push(root);
  const imports = Object.fromEntries(['schemas', 'core', 'services', 'activities', 'workflows', 'web'].map((room) => [`#${room}/*`, `./${room}/*`]));
  const all = { 'package.json': JSON.stringify({ imports: { '#config': './temporal.config.ts', ...imports } }), ...files };
  for (const [path, content] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return checkImportDirections(root).faults;
}

describe('reading imports', () => {
  it('sees every way to import, and which of them are types only', () => {
    const source = `
import { a } from './a.ts';
import type { B } from './b.ts';
import { type C } from './c.ts';
import { type D, d } from './d.ts';
import './e.ts';
export { f } from './f.ts';
export type { G } from './g.ts';
export * from './h.ts';
type I = import('./i.ts').I;
const j = await import('./j.ts');
using k = { [Symbol.dispose]() {} };
`;
    const imports = readImports('x.ts', source);
    const seen = (typeof imports === 'string' ? [] : imports).map(
      ({ specifier, typeOnly, line }) => `${specifier.slice(2, 3)} ${typeOnly ? 'type' : 'value'} ${line}`,
    );
    expect(seen.sort()).toEqual([
      'a value 2',
      'b type 3',
      'c type 4',
      'd value 5',
      'e value 6',
      'f value 7',
      'g type 8',
      'h value 9',
      'i type 10',
      'j value 11',
    ]);
  });

  it('refuses a file that does not parse', () => {
    expect(faultsOf({ 'core/x.ts': 'import {' })).toEqual([expect.stringMatching(/^core\/x\.ts does not parse/)]);
  });
});

describe('import directions', () => {
  it('lets imports go down', () => {
    const faults = faultsOf({
      'schemas/run.ts': `import { z } from 'zod';\nexport const run = z.string();`,
      'core/decide.ts': `import { run } from '#schemas/run.ts';\nimport { createHash } from 'node:crypto';\nexport const decide = [run, createHash];`,
      'core/engine/state.ts': `import type { x } from '#schemas/run.ts';\nexport const state = 1;`,
      'services/store.ts': `import { decide } from '#core/decide.ts';\nexport const store = decide;`,
      'activities/work.ts': `import { store } from '#services/store.ts';\nexport const work = store;`,
      'workflows/run.ts': `import { proxyActivities } from '@temporalio/workflow';\nimport type { work } from '#activities/work.ts';\nimport { state } from '#core/engine/state.ts';`,
    });
    expect(faults).toEqual([]);
  });

  it.each([
    ['a schema that imports core', 'schemas/a.ts', `import { x } from '#core/x.ts';`, /import zod only/],
    ['a schema that imports a package', 'schemas/a.ts', `import yaml from 'yaml';`, /import zod only/],
    ['core that reads files', 'core/a.ts', `import { readFileSync } from 'node:fs';`, /no I\/O/],
    ['core that imports a service', 'core/a.ts', `import { x } from '#services/x.ts';`, /no I\/O/],
    ['an engine that imports a value of a schema', 'core/engine/a.ts', `import { x } from '#schemas/x.ts';`, /types only/],
    ['an engine that imports zod', 'core/engine/a.ts', `import { z } from 'zod';`, /nothing but types/],
    ['a service that imports an activity', 'services/a.ts', `import { x } from '#activities/x.ts';`, /neither activities nor workers/],
    ['a service that reads the configuration', 'services/a.ts', `import { projectRoot } from '#config';`, /types only/],
    ['a workflow that imports a value of an activity', 'workflows/a.ts', `import { x } from '#activities/x.ts';`, /types only/],
    ['a workflow that imports a service’s type', 'workflows/a.ts', `import type { x } from '#services/x.ts';`, /sees types only/],
    ['the API inside a workflow file that is not its messages', 'web/a.ts', `import { x } from '#workflows/x.ts';`, /names of workflow messages/],
    ['another room by a relative path', 'services/a.ts', `import { x } from '../core/x.ts';`, /by its name/],
    ['a file that is not there', 'services/a.ts', `import { x } from './gone.ts';`, /no such file/],
    ['a folder that is no room', 'lib/a.ts', `import { x } from '#core/x.ts';`, /no room/],
    ['a test imported by the product', 'services/a.ts', `import { x } from './x.test.ts';`, /only tests import tests/],
    ['a launcher with a dependency', 'scripts/setup.mjs', `import { z } from 'zod';`, /no dependencies/],
  ])('refuses %s', (_name, path, source, fault) => {
    const there = Object.fromEntries(['core', 'services', 'schemas', 'activities', 'workflows'].map((room) => [`${room}/x.ts`, 'export const x = 1;']));
    const faults = faultsOf({ ...there, 'services/x.test.ts': 'export const x = 1;', 'temporal.config.ts': 'export const projectRoot = 1;', [path]: source });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
  });

  it('names the shortest way round a circle, types included', () => {
    const faults = faultsOf({
      'core/a.ts': `import { b } from './b.ts';\nexport type A = typeof b;`,
      'core/b.ts': `import { c } from './c.ts';\nexport const b = c;`,
      'core/c.ts': `import type { A } from './a.ts';\nexport const c: A = 1;`,
    });
    expect(faults).toEqual(['imports go round in a circle: core/a.ts → core/b.ts → core/c.ts → core/a.ts']);
  });
});
