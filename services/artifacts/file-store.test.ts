import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { describeArtifactStore } from './conformance.ts';
import { createArtifactStore } from './file-store.ts';

const emptyFolder = () => mkdtemp(join(tmpdir(), 'kos-artifacts-'));

describeArtifactStore('files', async () => createArtifactStore({ directory: await emptyFolder() }));

it('says disk_full, may be tried again, and leaves no draft when the disk is full', async () => {
  const directory = await emptyFolder();
  const workspaceId = newId('workspace');
  const store = createArtifactStore({ directory });
  async function* fullDisk() {
    yield Buffer.from('some');
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  }
  await expect(store.putArtifact(workspaceId, fullDisk())).rejects.toMatchObject({ code: 'disk_full', retryable: true, status: 507 });
  expect(await readdir(join(directory, workspaceId))).toEqual([]);
});

it('removes what a killed writer left, and nothing that is still written or whole', async () => {
  const directory = await emptyFolder();
  const workspaceId = newId('workspace');
  const store = createArtifactStore({ directory });
  const { sha256 } = await store.putArtifact(workspaceId, Buffer.from('whole'));
  await writeFile(join(directory, workspaceId, '0198b2c4.draft'), 'half');
  expect(await store.removeUnfinished(new Date(Date.now() - 60_000))).toBe(0);
  expect(await store.removeUnfinished(new Date(Date.now() + 60_000))).toBe(1);
  expect(await readdir(join(directory, workspaceId))).toEqual([sha256.slice(0, 2)]);
});
