/** What came of one try. */
export interface Tried {
  /** The answer's; null: there was none. */
  status: number | null;
  /** What the receiver asks for; null: nothing. */
  retryAfterMs: number | null;
}

/** `gone`: the receiver wants no more. */
export type Verdict = { is: 'delivered' } | { is: 'gone' } | { is: 'again'; inMs: number } | { is: 'dead' };

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** After each try: soon at first, for most failures pass; in all some 23 hours. */
const pausesMs = [2 * second, 30 * second, 2 * minute, 10 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 7 * hour, 8 * hour];

/** So that those that failed together do not come back together. */
const jitterPart = 0.2;

/**
 * What follows a try. `attempts`: how many there were, this one included. `random` from 0 to 1. Whatever is asked for, a delivery is over a day after it began:
 * `startedMs` and `nowMs` are milliseconds since 1970.
 */
export function afterAttempt(
  tried: Tried,
  { attempts, startedMs, nowMs, random }: { attempts: number; startedMs: number; nowMs: number; random: number },
): Verdict {
  const { status } = tried;
  if (status !== null && status >= 200 && status < 300) return { is: 'delivered' };
  if (status === 410) return { is: 'gone' };
  const pauseMs = pausesMs[attempts - 1];
  if (pauseMs === undefined) return { is: 'dead' };
  const jittered = pauseMs * (1 - jitterPart + 2 * jitterPart * random);
  const inMs = Math.round(Math.max(jittered, tried.retryAfterMs ?? 0));
  return nowMs + inMs > startedMs + 24 * hour ? { is: 'dead' } : { is: 'again', inMs };
}
