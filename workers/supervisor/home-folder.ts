import { chmod, mkdir, readdir, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { KosError } from '#core/errors.ts';

/** Below this, new runs wait (the API sees to that); what runs already goes on. */
const lowSpaceBytes = 1_000_000_000;

/** Makes `$KOS_HOME` and its folders for its owner's eyes only (mode 0700), whatever they were. */
export async function prepareHome(home: string): Promise<void> {
  if (home === homedir() || home === dirname(home)) {
    throw new KosError({
      code: 'home_unsuitable',
      message: `KOS_HOME is ${home}, which holds other things: kOS would close it to everybody else.`,
      fix: `Set KOS_HOME to a folder of its own, such as ${join(home, '.kos')}.`,
    });
  }
  try {
    await refuseForeign(home);
    for (const folder of [home, join(home, 'run'), join(home, 'keys'), join(home, 'logs'), join(home, 'workspace')]) {
      await makeFolder(folder);
    }
    if (process.platform !== 'win32') for (const folder of [home, join(home, 'run'), join(home, 'keys')]) await closeToOthers(folder);
  } catch (cause) {
    if (cause instanceof KosError) throw cause;
    throw new KosError({
      code: 'home_not_writable',
      message: `kOS cannot keep its data in ${home}: ${(cause as Error).message}.`,
      fix: 'Set KOS_HOME to a folder that this user may write.',
      status: 500,
      cause,
    });
  }
}

/** Node's own `recursive` goes round for ever where a folder that is there takes none in it, such as /proc. */
async function makeFolder(folder: string): Promise<void> {
  const make = (): Promise<'made' | 'there' | 'no parent'> =>
    mkdir(folder, { mode: 0o700 }).then(
      () => 'made' as const,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return 'there' as const;
        if (error.code === 'ENOENT' && folder !== dirname(folder)) return 'no parent' as const;
        throw error;
      },
    );
  if ((await make()) !== 'no parent') return;
  await makeFolder(dirname(folder));
  if ((await make()) === 'no parent') throw new Error(`the system makes no folder in ${dirname(folder)}`);
}

/** Closing a folder of other programs to everybody but us could stop them: `KOS_HOME=/srv` is a slip, not a wish. */
async function refuseForeign(home: string): Promise<void> {
  const facts = await stat(home).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (process.platform === 'win32' || facts === null || (facts.mode & 0o077) === 0) return;
  const names = await readdir(home);
  // A home that was copied has its keys; an empty disk has nothing but what its file system made.
  if (names.includes('keys') || names.every((name) => name === 'lost+found')) return;
  throw new KosError({
    code: 'home_unsuitable',
    message: `KOS_HOME is ${home}, which holds other things (${names.slice(0, 3).join(', ')}${names.length > 3 ? ' …' : ''}): kOS would close it to everybody else.`,
    fix: `Set KOS_HOME to a folder of its own, such as ${join(home, 'kos')}. If it is kOS's own, chmod 700 ${home}.`,
  });
}

async function closeToOthers(folder: string): Promise<void> {
  const { mode, uid } = await stat(folder);
  if (mode & 0o1000) {
    throw new KosError({
      code: 'home_unsuitable',
      message: `KOS_HOME is ${folder}, a folder that several users share.`,
      fix: `Set KOS_HOME to a folder of its own, such as ${join(folder, 'kos')}.`,
    });
  }
  const own = process.getuid?.();
  if (own !== 0 && uid !== own) {
    throw new KosError({
      code: 'home_not_ours',
      message: `${folder} belongs to another user (${uid}).`,
      fix: 'Start kOS as that user, give the folder to this one (chown), or set KOS_HOME.',
    });
  }
  if ((mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** A warning to show, or null while there is room. */
export async function warnOfLowSpace(home: string): Promise<string | null> {
  const { bavail, bsize } = await statfs(home);
  return describeFreeSpace(home, bavail * bsize);
}

export function describeFreeSpace(home: string, freeBytes: number): string | null {
  if (freeBytes >= lowSpaceBytes) return null;
  return `Only ${Math.round(freeBytes / 1_000_000)} MB are free where ${home} lies: new runs wait until there is 1 GB.`;
}
