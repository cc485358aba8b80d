import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { projectRoot } from '#config';

const run = promisify(execFile);

const releaseSchema = z.strictObject({
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  /** Of the release, in full: what is run where the checkout has no tag of it. */
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  /** The engine's rules that its runs are decided by. */
  rules: z.int().min(1),
});
export type Release = z.infer<typeof releaseSchema>;

/** The release that people come from, as `previous-release.json` names it. A release moves that on: see CONTRIBUTING.md. */
export const readPreviousRelease = (): Release => releaseSchema.parse(JSON.parse(readFileSync(new URL('previous-release.json', import.meta.url), 'utf8')));

/** Where the code of a release is found. */
export interface ReleaseCode {
  commit: string;
  /** Whether its tag says so, for the test to name what it ran. */
  by: string;
}

/**
 * The release's tag, or without one its commit. Null: this is no checkout of git, so it holds no other code than its own. Throws, with the remedy, where the
 * checkout holds only part of its history, and where tag and file name different commits.
 */
export async function findRelease({ version, commit }: Release, root = projectRoot): Promise<ReleaseCode | null> {
  if (!existsSync(join(root, '.git'))) return null;
  const tag = `v${version}`;
  const tagged = await commitOf(`refs/tags/${tag}`, root);
  if (tagged !== null && tagged !== commit)
    throw new Error(
      `The tag ${tag} is at ${tagged}, and tests/upgrade/previous-release.json says ${commit}: one of them is wrong. Fix: git show ${tag}; correct the file.`,
    );
  if ((await commitOf(commit, root)) === null)
    throw new Error(`This checkout does not hold the code of release ${version} (commit ${commit}): it is shallow. Fix: git fetch --unshallow --tags`);
  return { commit, by: tagged === null ? `${commit.slice(0, 10)}, there is no tag ${tag}` : `tag ${tag}` };
}

/** Null: the checkout does not hold it. */
async function commitOf(reference: string, root: string): Promise<string | null> {
  try {
    const { stdout } = await run('git', ['rev-parse', '--quiet', '--verify', `${reference}^{commit}`], { cwd: root });
    return stdout.trim();
  } catch {
    return null;
  }
}

/** The release's code, as it was, in an empty folder. It runs on the packages that are installed here. */
export async function unpackRelease({ commit }: ReleaseCode, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const archive = join(folder, 'release.tar');
  await run('git', ['archive', '--output', archive, commit], { cwd: projectRoot });
  await run('tar', ['-xf', archive, '-C', folder]);
  await symlink(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
}
