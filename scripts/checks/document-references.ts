import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describeCommands } from '#cli/reference.ts';
import { conclude, listProjectFiles, projectRoot } from './project-files.ts';

/** `[text](path#part)`; addresses on the web are left alone. */
const links = /\]\((?!\w+:|#)([^)\s#]+)(?:#[^)]*)?\)/g;
/** A file between backticks, named from the root: at least one folder, and an ending that sources have. */
const mentions = /`(\w[\w.-]*(?:\/[\w.-]+)+\.(?:ts|tsx|mjs|yaml|json|md|sql))`/g;

/** Files that a document names and that are not there: what was renamed in the code, was to be renamed here too. */
export function findDeadReferences(path: string, text: string, files: ReadonlySet<string>): string[] {
  const folders = new Set([...files].flatMap((file) => foldersOf(file)));
  const there = (target: string): boolean => files.has(target) || folders.has(target);
  const linked = [...text.matchAll(links)].map((match) => posix.normalize(posix.join(posix.dirname(path), match[1] ?? '')).replace(/\/$/, ''));
  const mentioned = [...text.matchAll(mentions)].map((match) => match[1] ?? '');
  return [...new Set([...linked, ...mentioned])].filter((target) => !there(target)).map((target) => `${path} names ${target}, which is not there`);
}

const foldersOf = (file: string): string[] =>
  file
    .split('/')
    .slice(0, -1)
    .map((_, index, parts) => parts.slice(0, index + 1).join('/'));

const optionsOfKai = 'documentation/kai-options.md';

if (import.meta.main) {
  const files = new Set(listProjectFiles());
  const documents = [...files].filter((path) => path.endsWith('.md'));
  const textOf = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');
  const faults = documents.flatMap((path) => findDeadReferences(path, textOf(path), files));
  if (textOf(optionsOfKai) !== (await describeCommands())) faults.push(`${optionsOfKai} is not what the commands are: node scripts/generate-kai-reference.ts`);
  conclude(faults, `${documents.length} documents`);
}
