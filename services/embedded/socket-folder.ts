import { createHash } from 'node:crypto';
import { lstat, mkdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';

export interface SocketFolder {
  path: string;
  /** Removes the link, if one was needed. */
  release: () => Promise<void>;
}

/** sun_path of unix(7) holds 108 bytes with its closing zero; macOS holds 104. */
const maxSocketPathBytes = 103;

/**
 * The folder that a client names to reach the socket in `folder`. A long path does not fit the system call, so then it is reached
 * through a link in a private folder of the system's temporary folder, named after a hash of the path.
 */
export async function reachableSocketFolder(folder: string, port: number): Promise<SocketFolder> {
  const fits = (path: string): boolean => Buffer.byteLength(join(path, `.s.PGSQL.${port}`)) <= maxSocketPathBytes;
  if (fits(folder)) return { path: folder, release: async () => undefined };
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  for (const base of [tmpdir(), '/tmp', '/var/tmp']) {
    const own = join(base, `kos-${hash}`);
    const link = join(own, 'pg');
    if (!fits(link) || !(await makePrivateFolder(own))) continue;
    await pointAt(link, folder);
    return { path: link, release: () => rm(own, { recursive: true, force: true }) };
  }
  throw new KosError({
    code: 'socket_path_too_long',
    message: `The path ${folder} is too long for a Unix socket, and no private folder for a short link could be made in ${tmpdir()}.`,
    fix: 'Set KOS_HOME to a shorter path.',
    status: 500,
  });
}

/** The temporary folder is everybody's: a folder that another user has put there under our name is not used. */
async function makePrivateFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
  }
  const found = await lstat(path);
  return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
}

async function pointAt(link: string, target: string): Promise<void> {
  await rm(link, { force: true });
  await symlink(target, link);
}
