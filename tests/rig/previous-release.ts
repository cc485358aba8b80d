import { execFile } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '#config';

const run = promisify(execFile);

/** The release that people come from. A release moves this on, together with `tests/histories`. */
export const previousRelease = { version: '0.1.0', commit: 'd909c09' } as const;

/** Why its code cannot be had from this checkout; null: it can. A shallow clone, or one without git, does not hold it. */
export async function whyPreviousReleaseIsMissing(): Promise<string | null> {
  try {
    await run('git', ['cat-file', '-e', `${previousRelease.commit}^{commit}`], { cwd: projectRoot });
    return null;
  } catch {
    return `this checkout does not hold the commit of ${previousRelease.version}: git fetch --unshallow`;
  }
}

/** Its code, as it was released, in an empty folder. It runs on the packages that are installed here. */
export async function unpackPreviousRelease(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const archive = join(folder, 'release.tar');
  await run('git', ['archive', '--output', archive, previousRelease.commit], { cwd: projectRoot });
  await run('tar', ['-xf', archive, '-C', folder]);
  await symlink(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
}
