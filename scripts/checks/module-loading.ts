import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { conclude, listProjectFiles, projectRoot } from './project-files.ts';

/**
 * Node links modules more strictly than vitest does: a name that a CommonJS package does not show to Node is found by vitest's interop, tests pass,
 * and the program does not start. So every module of the product is loaded once by Node itself.
 */
const rooms = /^(schemas|core|services|activities|web|cli)\/.*\.ts$/;
const tests = /\.test\.ts$|conformance\.ts$|-fixture-/;
/** These are programs, processes or threads of their own: they run when they are loaded. */
const programs = new Set([
  'services/embedded/temporal-download.ts',
  'services/expression/thread.ts',
  'services/expression/host.ts',
  'web/api/main.ts',
  'cli/main.ts',
]);

/** Loads each file in one process of its own; returns one sentence per file that does not load. */
export function findUnloadable(root: string, files: readonly string[]): string[] {
  const script = `
    const faults = [];
    for (const [path, url] of ${JSON.stringify(files.map((path) => [path, pathToFileURL(join(root, path)).href]))}) {
      try { await import(url); } catch (error) { faults.push(path + ' does not load: ' + error.message); }
    }
    console.log(JSON.stringify(faults));
    process.exit(0);
  `;
  const done = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: root, encoding: 'utf8' });
  const lastLine = done.stdout.trimEnd().split('\n').at(-1) ?? '';
  if (done.status !== 0 || !lastLine.startsWith('[')) {
    return [`loading the modules ended early: ${done.stderr.trim() || done.stdout.trim() || `exit code ${done.status}`}`];
  }
  return JSON.parse(lastLine) as string[];
}

if (import.meta.main) {
  const files = listProjectFiles().filter((path) => rooms.test(path) && !tests.test(path) && !programs.has(path));
  conclude(findUnloadable(projectRoot, files), `${files.length} modules`);
}
