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

/** Measures several sides in turn, each time beginning with another one, after some rounds that do not count. Answers each side's values, round by round. */
export async function measureRounds<Side extends string>(options: {
  rounds: number;
  warmUp: number;
  sides: Record<Side, () => Promise<number>>;
}): Promise<Record<Side, number[]>> {
  const names = Object.keys(options.sides) as Side[];
  const measured = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Side, number[]>;
  for (let round = -options.warmUp; round < options.rounds; round += 1) {
    for (let place = 0; place < names.length; place += 1) {
      const name = names[(place + round + options.warmUp) % names.length] as Side;
      const value = await options.sides[name]();
      if (round >= 0) measured[name].push(value);
    }
  }
  return measured;
}

/** Median of the rounds' ratios. */
export const ratioOf = (ours: readonly number[], reference: readonly number[]): number =>
  median(ours.map((value, round) => value / (reference[round] ?? Number.NaN)));
