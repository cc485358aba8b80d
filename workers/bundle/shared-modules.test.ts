import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '#config';

/** A binding of the module that may change, or a container that may be filled: in what all runs share, one run would speak to another. */
const keepsState = /^(?:export )?(?:let |var |const \w+(?::[^=]+)? = new (?:Map|Set|WeakMap|WeakSet|Array)\b|const \w+(?::[^=]+)? = \[\];)/m;

async function sourcesOf(folder: string): Promise<string[]> {
  const names = await readdir(join(projectRoot, folder), { recursive: true });
  return names.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts')).map((name) => join(projectRoot, folder, name));
}

describe('modules of the workflow bundle, loaded once for all runs', () => {
  test.each(['workflows', 'core/engine'])('of %s keep no state of their own', async (folder) => {
    const sources = await sourcesOf(folder);
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) expect(keepsState.exec(await readFile(source, 'utf8'))?.[0] ?? 'none', source).toBe('none');
  });

  test('are told from those that do', () => {
    for (const text of [
      'let last = 0;',
      'const seen = new Set<string>();',
      'export const known: Map<string, number> = new Map();',
      'const all: string[] = [];',
    ])
      expect(keepsState.test(`import x from 'y';\n${text}\n`), text).toBe(true);
    expect(keepsState.test('function f() {\n  let local = new Map();\n}\nconst limit = 5;\n')).toBe(false);
  });
});
