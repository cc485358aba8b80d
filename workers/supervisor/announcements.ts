import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListenAddress } from './network.ts';

/** Scripts wait for this line, so it is fixed to the letter. */
export const readyLine = (address: ListenAddress): string => `kOS is ready at ${address.localUrl}`;

export interface ReadyText {
  address: ListenAddress;
  insecure: boolean;
  /** The folder to put on PATH; null: there is none. */
  kaiFolder: string | null;
}

/** What follows the ready line: what to try next. */
export function nextSteps(text: ReadyText): string[] {
  return [
    ...(text.address.publicUrl === text.address.localUrl ? [] : [`People reach it at ${text.address.publicUrl}`]),
    ...(text.insecure ? ['INSECURE: KOS_INSECURE=1 lets kOS listen without https. Keys and sessions can be read on the way.'] : []),
    '',
    'Try next:',
    '  npx kai run start log-triage --input path=/var/log --wait',
    '  npx kai run list',
    '  npx kai demo crash',
    ...(text.kaiFolder === null ? [] : [onPath(text.kaiFolder)]),
    'Ctrl-C stops kOS; runs go on at the next npm start.',
  ];
}

const onPath = (folder: string): string =>
  process.platform === 'win32' ? `kai from any folder: add ${folder} to Path` : `kai from any folder: export PATH="${folder}:$PATH"`;

/**
 * `$KOS_HOME/bin/kai`: calls the launcher of this checkout for this `$KOS_HOME`, from any folder. Made anew at every start, because either
 * may have moved. Returns its folder.
 */
export async function makeKaiCommand(home: string, projectRoot: string): Promise<string> {
  const folder = join(home, 'bin');
  const launcher = join(projectRoot, 'cli', 'kai.mjs');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (process.platform === 'win32') {
    await writeFile(join(folder, 'kai.cmd'), `@echo off\r\nif not defined KOS_HOME set "KOS_HOME=${home}"\r\nnode "${launcher}" %*\r\n`);
    return folder;
  }
  const file = join(folder, 'kai');
  await rm(file, { force: true });
  await writeFile(file, `#!/bin/sh\n[ -n "$KOS_HOME" ] || KOS_HOME=${quote(home)}\nexport KOS_HOME\nexec node ${quote(launcher)} "$@"\n`);
  await chmod(file, 0o755);
  return folder;
}

/** For sh: one word, whatever it holds. */
const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
