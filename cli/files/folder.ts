import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileText } from '#core/files/wanted.ts';
import { usageFault } from '../faults.ts';
import { fileFault } from '../input-files.ts';

const isDescription = (name: string): boolean => /\.(ya?ml|json)$/i.test(name);
const isHidden = (path: string): boolean => path.split('/').some((part) => part.startsWith('.'));

/** The YAML and JSON files of a folder and of those in it, by path; hidden ones are left out. Or the one file that is named. */
export async function readFolder(path: string): Promise<FileText[]> {
  const names = await namesBelow(path);
  return await Promise.all(names.map(async (name) => ({ path: name, text: await textOf(name) })));
}

async function namesBelow(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path, { recursive: true })).map((name) => name.replaceAll('\\', '/'));
    const described = names.filter((name) => isDescription(name) && !isHidden(name)).toSorted();
    const found = await Promise.all(described.map(async (name) => ({ name: join(path, name), isFile: (await stat(join(path, name))).isFile() })));
    return found.flatMap(({ name, isFile }) => (isFile ? [name] : []));
  } catch (error) {
    throw fileFault(path, error);
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError) throw usageFault(`${path} is not text in UTF-8.`);
    throw fileFault(path, error);
  }
}
