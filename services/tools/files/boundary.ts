import { lstat, readdir, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { type AllowedRoot, ToolFailure, type ToolSettings } from '#services/tools/tool.ts';
import { errnoOf } from '#services/tools/files/failures.ts';

/** Where a new file waits for its name, in each write root. Tools neither list nor open it. */
export const stagingName = '.kos-tmp';

export type Access = 'read' | 'write';

/** A root as it stands in the settings, and where it really is. */
export interface RealRoot extends AllowedRoot {
  real: string;
}

/** What one call may touch: the settings' roots by their real paths, minus what is closed to every tool. */
export interface Boundary {
  home: string;
  /** The parts of home that roots may open. */
  openInHome: string[];
  /** Home and what stands in it, by device and inode: how it is known again where it is mounted a second time. */
  placesOfHome: ReadonlyMap<string, string>;
  workspace: string;
  roots: RealRoot[];
}

/** File systems whose files are doors into processes and devices, not data. */
const systemFolders = ['/proc', '/sys', '/dev'];

export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

/** The real path, or the given one where nothing exists yet. */
async function realOrSame(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes(errnoOf(error))) return resolve(path);
    throw error;
  }
}

/** Null where nothing stands, or nothing that we may see. */
async function identityOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await lstat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error))) return null;
    throw error;
  }
}

async function readPlacesOfHome(home: string): Promise<Map<string, string>> {
  const names = await readdir(home).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const paths = [home, ...names.map((name) => join(home, name))];
  const places = await Promise.all(paths.map(async (path) => [await identityOf(path), path] as const));
  return new Map(places.flatMap(([identity, path]) => (identity === null ? [] : [[identity, path]])));
}

export async function readBoundary(home: string, settings: ToolSettings): Promise<Boundary> {
  const realHome = await realOrSame(home);
  const roots = await Promise.all(settings.roots.map(async (root) => ({ ...root, path: resolve(root.path), real: await realOrSame(root.path) })));
  const placesOfHome = await readPlacesOfHome(realHome);
  const openInHome = await Promise.all(['logs', 'workspace'].map((name) => realOrSame(join(realHome, name))));
  const firstWritable = roots.find((root) => root.write);
  const ownWorkspace = join(realHome, 'workspace');
  const workspace = roots.some((root) => root.write && root.real === openInHome[1]) ? ownWorkspace : (firstWritable?.path ?? ownWorkspace);
  return { home: realHome, openInHome, placesOfHome, workspace, roots };
}

const quote = (path: string): string => (/^[\w./:@%+,-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`);

/** The command that opens a folder: exact, so that it can be pasted. */
export const addRootCommand = (folder: string, access: Access): string => `kai settings add roots ${quote(folder)}${access === 'write' ? ' --write' : ''}`;

/** The way to the file: a command that opens its folder; but nobody is told to open the whole disk. */
function waysIn(folder: string, access: Access, boundary: Boundary): string {
  if (folder !== dirname(folder)) return addRootCommand(folder, access);
  const open = boundary.roots.filter(({ write }) => write || access === 'read').map(({ path }) => path);
  return open.length === 0 ? 'Use a folder of its own for it, and allow that.' : `Put it into a folder that is allowed: ${open.join(', ')}.`;
}

function refuseOutside(path: string, access: Access, folder: string, boundary: Boundary): never {
  throw new ToolFailure({
    code: 'path_refused',
    message: `${path} is outside the folders that this workspace's tools may ${access}`,
    fix: waysIn(folder, access, boundary),
    status: 403,
    effect: 'none',
  });
}

/** True for what no setting opens: kOS's own files, its staging folders, the system's process and device files. */
export function isClosed(real: string, boundary: Boundary): boolean {
  if (systemFolders.some((folder) => isInside(real, folder))) return true;
  if (isInside(real, boundary.home) && !boundary.openInHome.some((folder) => isInside(real, folder))) return true;
  return real.split(sep).includes(stagingName);
}

function* upwards(path: string): Generator<string> {
  yield path;
  if (path !== dirname(path)) yield* upwards(dirname(path));
}

/** True for a closed place that is seen under another name, because its folder is mounted twice: no path tells that, device and inode do. */
export async function isClosedElsewhere(real: string, boundary: Boundary): Promise<boolean> {
  const isClosedBelow = async (folder: string): Promise<boolean> => {
    const identity = await identityOf(folder);
    const inHome = identity === null ? undefined : boundary.placesOfHome.get(identity);
    return inHome !== undefined && isClosed(join(inHome, relative(folder, real)), boundary);
  };
  return (await Promise.all([...upwards(real)].map(isClosedBelow))).includes(true);
}

export function refuseClosed(path: string, boundary: Boundary): never {
  throw new ToolFailure({
    code: 'path_refused',
    message: `${path} belongs to kOS itself or to the system; tools reach no such file, whatever is allowed`,
    fix: `Put what the plan needs into ${join(boundary.home, 'workspace')}.`,
    status: 403,
    effect: 'none',
  });
}

/** The root that opens a path (the longest, if several do). `real: false` compares as written, before anything is touched. Throws ToolFailure. */
export function rootFor(path: string, access: Access, boundary: Boundary, folderToAllow: string, real = true): RealRoot {
  if (isClosed(path, boundary)) refuseClosed(path, boundary);
  const opens = (root: RealRoot): boolean => (root.write || access === 'read') && (isInside(path, root.real) || (!real && isInside(path, root.path)));
  const best = boundary.roots.filter(opens).toSorted((a, b) => b.real.length - a.real.length)[0];
  return best ?? refuseOutside(path, access, folderToAllow, boundary);
}

/** An absolute path without `.` and `..`; relative ones start at the workspace folder. Throws ToolFailure for what no file system accepts. */
export function absolutePath(path: string, boundary: Boundary): string {
  if (path.includes('\0') || path === '') {
    throw new ToolFailure({ code: 'path_invalid', message: 'A path must not be empty or contain a NUL character', status: 422, effect: 'none' });
  }
  return resolve(boundary.workspace, path);
}
