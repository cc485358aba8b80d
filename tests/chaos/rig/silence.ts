/** A run's signs of life: instants at which its steps began or ended, ms since 1970. */
export type SignsOfLife = readonly number[];

/** Signs that a transaction in flight still gives after the kill are no recovery: a silence may begin a little before or after it. */
const aroundKillMs = 500;

/**
 * The longest silence that begins around the kill, ms. Null: the run was over, or had not begun, or ended with what was in flight.
 * Silences are of one run: while others go on, it stands still.
 */
export function silenceAfter(killedAt: number, signs: SignsOfLife): number | null {
  const sorted = [...signs].toSorted((one, other) => one - other);
  let longest: number | null = null;
  sorted.forEach((at, index) => {
    const next = sorted[index + 1];
    if (next === undefined || next < killedAt || at > killedAt + aroundKillMs) return;
    const from = Math.max(at, killedAt);
    longest = Math.max(longest ?? 0, next - from);
  });
  return longest;
}
