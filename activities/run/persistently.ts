import { setTimeout as sleep } from 'node:timers/promises';
import { isPassingFailure } from '#services/database/failures.ts';
import { AttemptLost } from './failure.ts';

const firstPauseMs = 100;
/** Short: work goes on this much later than the database does. */
const longestPauseMs = 500;

/**
 * Reads and writes around a step's own work: while the database does not answer they are tried again, for as long as this attempt lasts. Between
 * an effect's intent and its outcome nothing may be given up lightly: the next attempt would make the effect again, or call it uncertain.
 */
export async function persistently<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await work();
    } catch (error) {
      if (!isPassingFailure(error) || signal.reason instanceof AttemptLost) throw error;
      await sleep(pauseMs);
    }
  }
}
