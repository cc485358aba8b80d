import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '#config';
import { findRelease, readPreviousRelease, type Release } from './previous-release.ts';

const run = promisify(execFile);

describe('the previous release', () => {
  let folder: string;
  let root: string;
  let release: Release;
  const git = async (...words: string[]): Promise<string> => {
    const { stdout } = await run('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', ...words], { cwd: root });
    return stdout.trim();
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kos-release-'));
    root = join(folder, 'full');
    await run('git', ['init', '--quiet', root]);
    await git('commit', '--quiet', '--allow-empty', '-m', 'Release');
    release = { version: '1.2.3', commit: await git('rev-parse', 'HEAD'), rules: 1 };
    await git('commit', '--quiet', '--allow-empty', '-m', 'Later');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is found by its commit, by its tag once there is one, and not where the two disagree', async () => {
    expect(await findRelease(release, root)).toEqual({ commit: release.commit, by: `${release.commit.slice(0, 10)}, there is no tag v1.2.3` });
    await git('tag', 'v1.2.3', release.commit);
    expect(await findRelease(release, root)).toEqual({ commit: release.commit, by: 'tag v1.2.3' });
    await git('tag', '--force', '--annotate', '-m', 'moved', 'v1.2.3', 'HEAD');
    await expect(findRelease(release, root)).rejects.toThrow(/tag v1\.2\.3 is at [0-9a-f]{40}, and tests\/upgrade\/previous-release\.json says/);
    await git('tag', '--delete', 'v1.2.3');
  });

  it('is missed with the remedy in a shallow clone, which then helps', async () => {
    const shallow = join(folder, 'shallow');
    await run('git', ['clone', '--quiet', '--depth', '1', `file://${root}`, shallow]);
    await expect(findRelease(release, shallow)).rejects.toThrow('it is shallow. Fix: git fetch --unshallow --tags');
    await run('git', ['fetch', '--quiet', '--unshallow', '--tags'], { cwd: shallow });
    expect(await findRelease(release, shallow)).toMatchObject({ commit: release.commit });
  });

  it('cannot be had from a folder that is no checkout', async () => {
    const archive = await mkdtemp(join(folder, 'archive-'));
    await writeFile(join(archive, 'package.json'), '{}');
    expect(await findRelease(release, archive)).toBeNull();
  });

  it('is the one whose API is kept', () => {
    expect(existsSync(join(projectRoot, 'web', 'api', 'released', `openapi-${readPreviousRelease().version}.json`))).toBe(true);
  });
});
