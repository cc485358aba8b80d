import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, link, lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { stagingName, type Boundary } from '#services/tools/files/boundary.ts';
import { errnoOf } from '#services/tools/files/failures.ts';
import { makeFolderIn, type OpenedFolder, openFolder } from '#services/tools/files/opening.ts';

/** A staged file this old was left by a process that died: no write takes so long. */
const abandonedAfterMs = 3_600_000;

/** How a staged file gets its name: over whatever is there, or only when nothing is. Both are one step for every reader. */
export type Placement = 'replace' | 'exclusive';

async function sweepAbandoned(staging: OpenedFolder): Promise<void> {
  const now = Date.now();
  for (const name of await readdir(staging.entry('.'))) {
    const stats = await lstat(staging.entry(name)).catch(() => null);
    if (stats !== null && now - stats.mtimeMs > abandonedAfterMs) await unlinkIfThere(staging.entry(name));
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
  });
}

async function writeStaged(path: string, content: Uint8Array): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0), 0o644);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the new name itself durable. Windows has no such call for folders. */
async function syncFolder(folder: OpenedFolder): Promise<void> {
  if (process.platform === 'win32') return;
  let handle: FileHandle | null = null;
  try {
    handle = await open(folder.entry('.'), constants.O_RDONLY);
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

async function placeFrom(
  staging: OpenedFolder,
  stagedName: string,
  folder: OpenedFolder,
  name: string,
  content: Uint8Array,
  placement: Placement,
): Promise<void> {
  const staged = staging.entry(stagedName);
  try {
    await writeStaged(staged, content);
    if (placement === 'replace') await rename(staged, folder.entry(name));
    else await link(staged, folder.entry(name));
  } finally {
    await unlinkIfThere(staged);
  }
  await syncFolder(folder);
}

const sweptFolders = new Set<string>();

/**
 * Writes whole content under a name so that a reader, a crash or a full disk shows the old state or the new one, never a part. Throws the
 * system's errors; `EEXIST` with placement `exclusive` when the name is taken.
 */
export async function placeFile(folder: OpenedFolder, name: string, content: Uint8Array, placement: Placement, boundary: Boundary): Promise<void> {
  await using root = await openFolder(folder.root.real, 'write', boundary);
  await using staging = await makeFolderIn(root, stagingName);
  if (!sweptFolders.has(staging.real)) {
    sweptFolders.add(staging.real);
    await sweepAbandoned(staging);
  }
  const stagedName = randomUUID();
  try {
    await placeFrom(staging, stagedName, folder, name, content, placement);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error;
    // The folder lies on another file system than its root: stage in a folder beside the new file instead.
    await using near = await makeFolderIn(folder, stagingName);
    await placeFrom(near, stagedName, folder, name, content, placement);
  }
}
