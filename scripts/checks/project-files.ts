import { readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Made by tools, or data of a running installation: nothing here is written by hand. */
const foreignFolders = new Set(['node_modules', '.git', '.kos', 'dist', 'coverage']);

/** Paths of all files written by hand, relative to the root, with forward slashes, sorted. */
export function listProjectFiles(root: string = projectRoot): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !foreignFolders.has(entry.name)) {
        visit(path);
      } else if (entry.isFile()) {
        found.push(relative(root, path).split(sep).join('/'));
      }
    }
  };
  visit(root);
  return found.sort();
}

/** Written by a generator from what is judged elsewhere: loaded and type-checked, but nobody's style. */
export const isGenerated = (path: string): boolean => path.startsWith('clients/typescript/src/');

/** What a check says at its end: each fault on a line of its own and exit code 1, or one line of what was looked at. */
export function conclude(faults: string[], looked: string): void {
  for (const fault of faults) {
    console.log(fault);
  }
  console.log(faults.length === 0 ? looked : `${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
