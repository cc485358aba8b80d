/** The first failures of an account cost nothing: people mistype. */
const freeFailures = 3;
const firstDelayMs = 500;
const longestDelayMs = 15_000;
/** After so long without a failure an account starts afresh. */
export const failuresForgottenAfterMs = 24 * 3_600_000;

/**
 * How long an attempt waits before its password is looked at: growing with the failures in a row, bounded, and the same for a right password, so that
 * whoever guesses is slowed and nobody is locked out.
 */
export function signInDelayMs(failures: number): number {
  if (failures < freeFailures) return 0;
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures - freeFailures, 20));
}
