import type { KosError } from '#core/errors.ts';

/** What scripts rely on (documentation/kai.md lists them for people). */
export const exitCodes = {
  ok: 0,
  error: 1,
  usage: 2,
  /** The run that was waited for failed, was cancelled or terminated. */
  runNotSucceeded: 3,
  notAllowed: 4,
  notFound: 5,
  /** The thing is in a state, or a version, that this action does not fit. */
  conflict: 6,
  waitTimedOut: 7,
  humanNeeded: 8,
  /** `apply --dry-run`: something would change. */
  wouldChange: 9,
  /** 128 + SIGINT, as shells count: Ctrl-C ended the command, not the run. */
  detached: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Statuses of problems (RFC 9110) as exit codes; whatever is not named is a plain error. */
const exitCodeByStatus: Readonly<Record<number, ExitCode>> = {
  401: exitCodes.notAllowed,
  403: exitCodes.notAllowed,
  404: exitCodes.notFound,
  409: exitCodes.conflict,
  412: exitCodes.conflict,
};

export function exitCodeOfError(error: KosError): ExitCode {
  return error.code === 'usage' ? exitCodes.usage : (exitCodeByStatus[error.status] ?? exitCodes.error);
}
