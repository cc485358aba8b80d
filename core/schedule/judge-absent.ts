/** What Temporal has counted of a schedule since it was last asked. */
export interface FreshCounts {
  missed: number;
  skipped: number;
  /** Starts that wait for another one's end. */
  buffered: number;
  /** They have been looked for long enough. */
  givenUp: boolean;
}

export interface Judged<Start> {
  missed: Start[];
  skipped: Start[];
  /** May still come. */
  open: Start[];
}

/**
 * What became of starts that were due and did not come. Temporal counts what it lets go and names no times: what it missed is the oldest (it was away), what it skipped
 * comes after that. What it does not account for may still be on its way, as long as something is; then it was lost with Temporal's own memory of it.
 */
export function judgeAbsent<Start extends { atMs: number }>(absent: readonly Start[], counts: FreshCounts): Judged<Start> {
  const inOrder = absent.toSorted((one, other) => one.atMs - other.atMs);
  const missed = inOrder.splice(0, Math.max(0, counts.missed));
  const skipped = inOrder.splice(0, Math.max(0, counts.skipped));
  if (counts.givenUp && counts.buffered === 0) return { missed: [...missed, ...inOrder], skipped, open: [] };
  return { missed, skipped, open: inOrder };
}
