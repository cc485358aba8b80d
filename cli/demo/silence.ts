/** How long a run stood still since an instant; all in ms, instants since 1970. */
export interface Silence {
  lastSignAt: number;
  /** Null: no sign of life yet. */
  longestMs: number | null;
}

export const silenceSince = (at: number): Silence => ({ lastSignAt: at, longestMs: null });

/** A first sign proves nothing: what a killed worker had sent before its end still arrives. So the longest silence counts, not the first. */
export function noteSign(silence: Silence, at: number): Silence {
  if (at <= silence.lastSignAt) return silence;
  return { lastSignAt: at, longestMs: Math.max(silence.longestMs ?? 0, at - silence.lastSignAt) };
}
