import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectRoot } from '#config';
import { listProjectFiles } from '#scripts/checks/project-files.ts';

/** Test files share processes and modules: a hook that a module registers as it is loaded belongs to the first file that loads it, and to no other. */
const hookOfModule = /^(?:before|after)(?:All|Each)\(/m;

it('no module but a test file has hooks of its own', async () => {
  const modules = listProjectFiles().filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.startsWith('clients/'));
  expect(modules.length).toBeGreaterThan(500);
  for (const path of modules) expect(hookOfModule.exec(await readFile(join(projectRoot, path), 'utf8'))?.[0] ?? 'none', path).toBe('none');
});

it('tells such a hook from one that a test file asks for', () => {
  expect(hookOfModule.test("import { afterAll } from 'vitest';\nafterAll(() => rm(home));\n")).toBe(true);
  expect(hookOfModule.test('export function useFolder() {\n  afterAll(() => rm(folder));\n}\n')).toBe(false);
});
