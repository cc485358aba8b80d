/** A run's signs of life: instants at which it was accepted, its steps began or ended, it ended; ms since 1970. */
export type SignsOfLife = readonly number[];

/**
 * The longest silence of a run after the kill, wherever it falls: a run that takes one step and then stands still has not recovered. Null: the run
 * was over before the kill. Silences are of one run: while others go on, it may stand still.
 */
export function silenceAfter(killedAt: number, signs: SignsOfLife): number | null {
  const sorted = [...signs].toSorted((one, other) => one - other);
  let longest: number | null = null;
  sorted.forEach((at, index) => {
    const next = sorted[index + 1];
    if (next !== undefined && next >= killedAt) longest = Math.max(longest ?? 0, next - Math.max(at, killedAt));
  });
  return longest;
}
