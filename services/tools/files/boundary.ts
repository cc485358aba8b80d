import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
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

export async function readBoundary(home: string, settings: ToolSettings): Promise<Boundary> {
  const realHome = await realOrSame(home);
  const roots = await Promise.all(settings.roots.map(async (root) => ({ ...root, path: resolve(root.path), real: await realOrSame(root.path) })));
  const openInHome = await Promise.all(['logs', 'workspace'].map((name) => realOrSame(join(realHome, name))));
  const firstWritable = roots.find((root) => root.write);
  const ownWorkspace = join(realHome, 'workspace');
  const workspace = roots.some((root) => root.write && root.real === openInHome[1]) ? ownWorkspace : (firstWritable?.path ?? ownWorkspace);
  return { home: realHome, openInHome, workspace, roots };
}

const quote = (path: string): string => (/^[\w./:@%+,-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`);

/** The command that opens a folder: exact, so that it can be pasted. */
export const addRootCommand = (folder: string, access: Access): string => `kai settings add roots ${quote(folder)}${access === 'write' ? ' --write' : ''}`;

function refuseOutside(path: string, access: Access, folder: string): never {
  const verb = access === 'write' ? 'written' : 'read';
  throw new ToolFailure({
    code: 'path_refused',
    message: `${path} is outside the folders that this workspace's tools may ${verb === 'read' ? 'read' : 'write'}`,
    fix: addRootCommand(folder, access),
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

/** The root that opens a path (the longest, if several do). `real: false` compares as written, before anything is touched. Throws ToolFailure. */
export function rootFor(path: string, access: Access, boundary: Boundary, folderToAllow: string, real = true): RealRoot {
  if (isClosed(path, boundary)) {
    throw new ToolFailure({
      code: 'path_refused',
      message: `${path} belongs to kOS itself or to the system; tools reach no such file, whatever is allowed`,
      fix: `Put what the plan needs into ${join(boundary.home, 'workspace')}.`,
      status: 403,
      effect: 'none',
    });
  }
  const opens = (root: RealRoot): boolean => (root.write || access === 'read') && (isInside(path, root.real) || (!real && isInside(path, root.path)));
  const best = boundary.roots.filter(opens).toSorted((a, b) => b.real.length - a.real.length)[0];
  return best ?? refuseOutside(path, access, folderToAllow);
}

/** An absolute path without `.` and `..`; relative ones start at the workspace folder. Throws ToolFailure for what no file system accepts. */
export function absolutePath(path: string, boundary: Boundary): string {
  if (path.includes('\0') || path === '') {
    throw new ToolFailure({ code: 'path_invalid', message: 'A path must not be empty or contain a NUL character', status: 422, effect: 'none' });
  }
  return resolve(boundary.workspace, path);
}
