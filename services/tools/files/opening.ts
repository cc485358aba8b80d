import type { BigIntStats } from 'node:fs';
import { constants, type FileHandle, lstat, mkdir, open, opendir, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Access, absolutePath, type Boundary, isClosed, isClosedElsewhere, type RealRoot, refuseClosed, rootFor } from '#services/tools/files/boundary.ts';
import { errnoOf, fileFailure } from '#services/tools/files/failures.ts';
import { ToolFailure } from '#services/tools/tool.ts';

/**
 * Opening without races. On Linux a path is first opened as a mere reference (O_PATH: no read, no effect on FIFOs and devices), the kernel says
 * where that reference really is (/proc/self/fd), that place is checked, and from then on only the reference is used: swapping a folder for a
 * link in between changes nothing. Elsewhere the opened file is compared with the checked path by device and inode.
 */
const onLinux = process.platform === 'linux';
/** open(2) on Linux; not among Node's constants. */
const referenceOnly = 0o10000000;
const noFollow = constants.O_NOFOLLOW ?? 0;
const readFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

export interface OpenedFile extends AsyncDisposable {
  handle: FileHandle;
  real: string;
  stats: BigIntStats;
}

export interface OpenedFolder extends AsyncDisposable {
  real: string;
  root: RealRoot;
  /** A path of an entry that stays in this folder even if the folder is moved or replaced by a link. */
  entry(name: string): string;
}

const viaHandle = (handle: FileHandle): string => `/proc/self/fd/${handle.fd}`;

/** Where an open handle really is. Throws when that is not the checked place. */
async function placeOf(handle: FileHandle, expected: string): Promise<string> {
  if (onLinux) return readlink(viaHandle(handle));
  const [opened, named, now] = await Promise.all([handle.stat({ bigint: true }), lstat(expected, { bigint: true }), realpath(expected)]);
  if (opened.dev === named.dev && opened.ino === named.ino && now === expected) return now;
  throw new ToolFailure({ code: 'path_refused', message: `${expected} changed while it was opened`, status: 403, retryable: true, effect: 'none' });
}

async function openReference(real: string): Promise<FileHandle> {
  return open(real, onLinux ? referenceOnly | noFollow : readFlags | noFollow);
}

/** True when one of kOS's own files is the same file under another name. Only asked for files with several names, which are rare. */
async function isOwnFile(file: BigIntStats, folder: string, boundary: Boundary): Promise<boolean> {
  const entries = await opendir(folder).catch((error: unknown) => {
    // A folder that we cannot open holds nothing of ours: the embedded database's, when it runs as a user of its own.
    if (['ENOENT', 'EACCES', 'EPERM'].includes(errnoOf(error))) return null;
    throw error;
  });
  if (entries === null) return false;
  for await (const entry of entries) {
    const path = join(folder, entry.name);
    if (!isClosed(path, boundary)) continue;
    if (entry.isDirectory()) {
      if (await isOwnFile(file, path, boundary)) return true;
    } else if (entry.isFile()) {
      const own = await lstat(path, { bigint: true }).catch(() => null);
      if (own !== null && own.ino === file.ino && own.dev === file.dev) return true;
    }
  }
  return false;
}

const refuseKind = (path: string, wanted: 'file' | 'folder'): never => {
  throw new ToolFailure({ code: wanted === 'file' ? 'not_a_file' : 'not_a_folder', message: `${path} is not a ${wanted}`, status: 422, effect: 'none' });
};

/** Opens a reference to an existing place and checks it, before and after. The caller closes the handle. */
async function openPlace(
  path: string,
  access: Access,
  boundary: Boundary,
  folderToAllow: string,
): Promise<{ handle: FileHandle; real: string; root: RealRoot }> {
  const absolute = absolutePath(path, boundary);
  rootFor(absolute, access, boundary, folderToAllow, false);
  const before = await realpath(absolute);
  rootFor(before, access, boundary, folderToAllow);
  const handle = await openReference(before);
  try {
    const real = await placeOf(handle, before);
    const root = rootFor(real, access, boundary, folderToAllow);
    if (await isClosedElsewhere(real, boundary)) refuseClosed(path, boundary);
    return { handle, real, root };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Opens a regular file for reading. Throws ToolFailure. */
export async function openFile(path: string, boundary: Boundary): Promise<OpenedFile> {
  try {
    const place = await openPlace(path, 'read', boundary, dirname(absolutePath(path, boundary)));
    let handle = place.handle;
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) refuseKind(path, 'file');
      if (stats.nlink > 1n && (await isOwnFile(stats, boundary.home, boundary))) {
        throw new ToolFailure({ code: 'path_refused', message: `${path} is another name of one of kOS's own files`, status: 403, effect: 'none' });
      }
      if (onLinux) {
        const readable = await open(viaHandle(handle), readFlags);
        await handle.close();
        handle = readable;
      }
      return { handle, real: place.real, stats, [Symbol.asyncDispose]: () => handle.close() };
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw fileFailure(error, path);
  }
}

const asFolder = (handle: FileHandle, real: string, root: RealRoot): OpenedFolder => ({
  real,
  root,
  entry: (name) => (onLinux ? `${viaHandle(handle)}/${name}` : join(real, name)),
  [Symbol.asyncDispose]: () => handle.close(),
});

/** Opens a folder to list it or to write in it. Throws ToolFailure. */
export async function openFolder(path: string, access: Access, boundary: Boundary): Promise<OpenedFolder> {
  try {
    const { handle, real, root } = await openPlace(path, access, boundary, absolutePath(path, boundary));
    const stats = await handle.stat();
    if (!stats.isDirectory()) {
      await handle.close();
      refuseKind(path, 'folder');
    }
    return asFolder(handle, real, root);
  } catch (error) {
    throw fileFailure(error, path);
  }
}

/** Makes (if missing) and opens a folder directly inside an opened one; a link in its place is refused. */
export async function makeFolderIn(parent: OpenedFolder, name: string): Promise<OpenedFolder> {
  await mkdir(parent.entry(name), { mode: 0o755 }).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error;
  });
  const handle = await openReference(parent.entry(name));
  const stats = await handle.stat();
  if (stats.isDirectory()) return asFolder(handle, join(parent.real, name), parent.root);
  await handle.close();
  return refuseKind(join(parent.real, name), 'folder');
}

/** Opens the folder that a new file will stand in, making missing folders one by one from the deepest that exists. Throws ToolFailure. */
export async function openParentForWriting(path: string, boundary: Boundary): Promise<{ folder: OpenedFolder; name: string; absolute: string }> {
  const absolute = absolutePath(path, boundary);
  const parent = dirname(absolute);
  rootFor(absolute, 'write', boundary, parent, false);
  try {
    const missing: string[] = [];
    let existing = parent;
    if (boundary.openInHome.includes(boundary.workspace)) await mkdir(boundary.workspace, { recursive: true });
    while (!(await exists(existing)) && dirname(existing) !== existing) {
      missing.unshift(basename(existing));
      existing = dirname(existing);
    }
    let folder = await openFolder(existing, 'write', boundary);
    for (const name of missing) {
      rootFor(join(folder.real, name), 'write', boundary, parent);
      await using parentOfMissing = folder;
      folder = await makeFolderIn(parentOfMissing, name);
    }
    const name = basename(absolute);
    try {
      rootFor(join(folder.real, name), 'write', boundary, parent);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
    return { folder, name, absolute };
  } catch (error) {
    throw fileFailure(error, path);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
