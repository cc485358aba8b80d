import { readFile } from 'node:fs/promises';

/** Of this checkout. */
export async function readOwnVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}
