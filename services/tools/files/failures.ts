import { KosError } from '#core/errors.ts';
import { ToolFailure } from '#services/tools/tool.ts';

interface FailureText {
  code: string;
  status: number;
  retryable: boolean;
  says: string;
  fix: string | null;
}

const notFound: FailureText = { code: 'not_found', status: 404, retryable: false, says: 'does not exist', fix: null };
const denied: FailureText = {
  code: 'permission_denied',
  status: 403,
  retryable: false,
  says: 'is closed to the user that kOS runs as',
  fix: 'Give that user the right in the file system.',
};
const full: FailureText = {
  code: 'disk_full',
  status: 507,
  retryable: true,
  says: 'could not be written: the disk is full',
  fix: 'Free some space on that disk.',
};
const badPath: FailureText = { code: 'path_invalid', status: 422, retryable: false, says: 'is not a usable path', fix: null };
const busy: FailureText = { code: 'too_many_open_files', status: 503, retryable: true, says: 'could not be opened: too many files are open', fix: null };

/** What the system's answers mean for a step (errno, see open(2), rename(2), write(2)). */
const byErrno: Record<string, FailureText> = {
  ENOENT: notFound,
  EACCES: denied,
  EPERM: denied,
  ENOSPC: full,
  EDQUOT: full,
  EROFS: { ...denied, code: 'read_only', says: 'is on a read-only file system' },
  EISDIR: { ...badPath, code: 'not_a_file', says: 'is a folder, not a file' },
  ENOTEMPTY: { ...badPath, code: 'not_a_file', says: 'is a folder, not a file' },
  ENOTDIR: { ...badPath, code: 'not_a_folder', says: 'is not a folder, or has a file in its middle' },
  ELOOP: { ...badPath, says: 'is a circle of links' },
  ENAMETOOLONG: badPath,
  EINVAL: badPath,
  EMFILE: busy,
  ENFILE: busy,
  EFBIG: { ...full, code: 'file_too_large', retryable: false, says: 'is larger than the file system allows', fix: null },
};

/** Every failure of the file tools leaves the named file as it was: new content becomes visible in one step or not at all. */
export function fileFailure(error: unknown, path: string): Error {
  // A DOMException is the reason of an aborted signal, not an answer of the file system.
  if (error instanceof KosError || error instanceof DOMException) return error;
  const errno = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known = byErrno[errno];
  if (known !== undefined) {
    return new ToolFailure({
      code: known.code,
      message: `${path} ${known.says}`,
      fix: known.fix,
      status: known.status,
      retryable: known.retryable,
      cause: error,
      effect: 'none',
    });
  }
  const text = error instanceof Error ? error.message : String(error);
  return new ToolFailure({ code: 'file_failed', message: `${path} could not be used: ${text}`, status: 500, retryable: true, cause: error, effect: 'none' });
}

export const errnoOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');
