/** Numbers that look random and come again with the same seed (mulberry32, public domain, Tommy Ettinger), so that a bad run can be repeated. */
export interface Random {
  /** At least 0, below 1. */
  next: () => number;
  /** At least `from`, at most `to`. */
  between: (from: number, to: number) => number;
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, between: (from, to) => Math.round(from + next() * (to - from)) };
}
