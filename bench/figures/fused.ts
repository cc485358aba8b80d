import { repeatedly } from '../rig/driver.ts';
import { effectsPlan, purePlan } from '../rig/plans.ts';
import { measureRounds, median, ratioOf } from '../rig/statistics.ts';
import { type BenchContext, type Figure, inMs, inRatio, type Line } from './figure.ts';

/** Times a side's runs took, ms, or steps a second, round by round. */
type Sides = Record<string, readonly number[]>;

interface Part {
  line: Line;
  sides: Sides;
}

export const fused: Figure = {
  name: 'fused',
  bound:
    'One run alone: commits of Temporal (start, and the one task in which the unit is done) and of Postgres (claim and first step, then what was done during the commit before; for effects one ' +
    'for each step, in which the outcome of one and the intent of the next stand); many at once: processor time, of the worker (expression, events and audit entry of each step) and of Postgres.',
  async measure(context) {
    const parts: Part[] = [];
    for (const measure of [
      () => tenInARow(context),
      () => manyAtOnce(context, { count: 10, against: 'hand', reach: 3 }),
      () => manyAtOnce(context, { count: 100, against: 'dbos', reach: 1.5 }),
      () => alone(context, 100, 0.7),
      () => alone(context, 1_000, 0.4),
      () => effectsInARow(context),
    ]) {
      const part = await measure();
      context.say(`… ${part.line.what}: ${part.line.ours}; ${part.line.floor}`);
      parts.push(part);
    }
    return { lines: parts.map(({ line }) => line), details: Object.fromEntries(parts.map(({ line, sides }) => [line.what, sides])) };
  },
};

async function tenInARow({ driver, stack, quick }: BenchContext): Promise<Part> {
  const [plan, dbos] = [await driver.save(purePlan(10)), await stack.dbos()];
  const sides = await measureRounds({
    rounds: quick ? 12 : 40,
    warmUp: 6,
    sides: { ours: () => driver.workflowSpanMs(plan), hand: () => driver.floorSpanMs('linear', 10), dbos: () => dbos.spanMs(10) },
  });
  const ratio = ratioOf(sides.ours, sides.hand);
  const line: Line = {
    what: '10 pure steps, fused, start to close of the workflow, median',
    ours: `${inMs(median(sides.ours))}, ${inRatio(ratio)}`,
    floor: `${inMs(median(sides.hand))} by hand; DBOS ${inMs(median(sides.dbos))} (${inRatio(ratioOf(sides.ours, sides.dbos))})`,
    reach: '≤ 0.30 × by hand',
    met: ratio <= 0.3,
  };
  return { line, sides };
}

/** Steps a second with 20 runs at once. */
async function manyAtOnce({ driver, stack, quick }: BenchContext, options: { count: number; against: 'hand' | 'dbos'; reach: number }): Promise<Part> {
  const { count, against, reach } = options;
  const [plan, dbos] = [await driver.save(purePlan(count)), await stack.dbos()];
  const runs = count === 10 ? (quick ? 60 : 100) : quick ? 40 : 60;
  const rate = async (run: () => Promise<unknown>): Promise<number> => {
    const since = performance.now();
    await repeatedly(runs, 20, run);
    return (runs * count * 1_000) / (performance.now() - since);
  };
  const hand = against === 'hand' ? { hand: () => rate(() => driver.floorSpanMs('linear', count)) } : {};
  const measured: Record<string, number[]> = await measureRounds<string>({
    rounds: quick ? 3 : 7,
    warmUp: 1,
    sides: { ours: () => rate(() => driver.workflowSpanMs(plan)), dbos: () => rate(() => dbos.spanMs(count)), ...hand },
  });
  const [ours = [], reference = []] = [measured.ours, measured[against]];
  const ratio = ratioOf(ours, reference);
  const named = against === 'hand' ? `by hand; DBOS ${median(measured.dbos ?? []).toFixed(0)} steps/s` : 'DBOS, same Postgres';
  const line: Line = {
    what: `${count} pure steps × 20 at once, fused`,
    ours: `${median(ours).toFixed(0)} steps/s, ${inRatio(ratio)}`,
    floor: `${median(reference).toFixed(0)} steps/s ${named}`,
    reach: `≥ ${inRatio(reach)} ${against === 'hand' ? 'by hand' : 'DBOS'}`,
    met: ratio >= reach,
  };
  return { line, sides: measured };
}

async function alone({ driver, stack, quick }: BenchContext, count: number, reach: number): Promise<Part> {
  const [plan, dbos] = [await driver.save(purePlan(count)), await stack.dbos()];
  const rounds = count >= 1_000 ? (quick ? 4 : 10) : quick ? 8 : 24;
  const sides = await measureRounds({ rounds, warmUp: 2, sides: { ours: () => driver.workflowSpanMs(plan), dbos: () => dbos.spanMs(count) } });
  const ratio = ratioOf(sides.ours, sides.dbos);
  const line: Line = {
    what: `${count.toLocaleString('en')} pure steps, fused, one run, each checkpointed (what is done during one commit goes with the next), median`,
    ours: `${inMs(median(sides.ours))}, ${inRatio(ratio)}`,
    floor: `${inMs(median(sides.dbos))} DBOS, same Postgres`,
    reach: `≤ ${inRatio(reach)} DBOS`,
    met: ratio <= reach,
  };
  return { line, sides };
}

async function effectsInARow({ driver, quick }: BenchContext): Promise<Part> {
  const plan = await driver.save(effectsPlan(10));
  const sides = await measureRounds({
    rounds: quick ? 10 : 30,
    warmUp: 4,
    sides: { ours: () => driver.workflowSpanMs(plan), hand: () => driver.floorSpanMs('linear', 10) },
  });
  const ratio = ratioOf(sides.ours, sides.hand);
  const line: Line = {
    what: '10 idempotent tool steps, fuse: effects, intent and outcome of each on record, median',
    ours: `${inMs(median(sides.ours))}, ${inRatio(ratio)}`,
    floor: `${inMs(median(sides.hand))} by hand (10 no-op activities)`,
    reach: '≤ 0.33 × by hand',
    met: ratio <= 1 / 3,
  };
  return { line, sides };
}
