import { KosError } from '#core/errors.ts';
import type { Credentials } from './credentials.ts';
import { readPartRecord } from './installation/home-facts.ts';
import { isRunning } from '#services/embedded/process-identity.ts';

/** What a command does about a server that is away: it waits for one that comes back by itself, for a while, and says so once. */
export interface Patience {
  /** Whether waiting makes sense: a supervisor of this machine runs, and starts again what it has lost. */
  comesBack(credentials: Credentials | null): Promise<boolean>;
  tell(line: string): void;
  /** The longest wait. */
  forMs: number;
  /** Between tries. */
  everyMs: number;
}

/** A part comes back within seconds; a whole start under load takes longer. */
const usualWaits = { forMs: 20_000, everyMs: 250 };

export const patienceWith = (home: () => Promise<string>, tell: (line: string) => void): Patience => ({
  ...usualWaits,
  tell,
  comesBack: async (credentials) => {
    if (credentials?.local === false) return false;
    const supervisor = await readPartRecord(await home(), 'supervisor');
    return supervisor !== null && (await isRunning(supervisor));
  },
});

/** Nobody answers, or the one who does lacks a part that is being started again. */
export const isAway = (error: unknown): error is KosError =>
  error instanceof KosError && (error.code === 'server_unreachable' || error.code === 'never_started' || error.code === 'database_unavailable');

/** The supervisor runs, so another start would be the wrong advice. `waitedMs`: 0 where nobody waited. */
export function stillAway(error: KosError, waitedMs: number): KosError {
  const waited = waitedMs === 0 ? '' : ` Waited ${Math.round(waitedMs / 1_000)} s.`;
  return new KosError({
    code: 'still_starting',
    message: `${error.message.replace(/\.$/, '')}, but its supervisor runs: it is starting, or has lost a part.${waited}`,
    fix: 'Wait a moment. What it does: kai doctor',
    status: 503,
    retryable: true,
    cause: error,
  });
}
