/** The value below which the part `fraction` (0 to 1) of all lies. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))];
  if (value === undefined) throw new Error('Nothing was measured.');
  return value;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** One measurement of ours and the floor's, taken one right after the other: drift of the machine cancels out in their ratio. */
export interface Pair {
  ours: number;
  floor: number;
}

export interface PairSummary {
  ours: number;
  floor: number;
  /** Median of the pairs' ratios. */
  ratio: number;
  /** Quartiles of the pairs' ratios: how far a single pair may be off. */
  spread: [number, number];
}

export function summarise(pairs: readonly Pair[]): PairSummary {
  const ratios = pairs.map(({ ours, floor }) => ours / floor);
  return {
    ours: median(pairs.map((pair) => pair.ours)),
    floor: median(pairs.map((pair) => pair.floor)),
    ratio: median(ratios),
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
  };
}

/** Measures pairs in turn, each time in the other order, after some that do not count. */
export async function measurePairs(options: { pairs: number; warmUp: number; ours: () => Promise<number>; floor: () => Promise<number> }): Promise<Pair[]> {
  const { ours, floor } = options;
  const measured: Pair[] = [];
  for (let index = -options.warmUp; index < options.pairs; index += 1) {
    const pair = index % 2 === 0 ? { floor: await floor(), ours: await ours() } : await oursFirst(ours, floor);
    if (index >= 0) measured.push(pair);
  }
  return measured;
}

async function oursFirst(ours: () => Promise<number>, floor: () => Promise<number>): Promise<Pair> {
  const first = await ours();
  return { ours: first, floor: await floor() };
}
