import { repeatedly } from '../rig/driver.ts';
import { linearPlan } from '../rig/plans.ts';
import { readCpuMs } from '../rig/processes.ts';
import { measurePairs, median, type Pair } from '../rig/statistics.ts';
import { type BenchContext, type Figure, inMs, inRatio } from './figure.ts';

const count = 10;
const atOnce = 20;
const reach = 1.25;

export const cpu: Figure = {
  name: 'cpu',
  bound: 'The workflow worker (two workflow tasks a step in the sandbox) and the Temporal server, both also in the floor; the ledger in the worker.',
  async measure(context) {
    const { driver, quick } = context;
    const plan = await driver.save(linearPlan(count));
    const runs = quick ? 40 : 80;
    const windows: { ours: Window[]; floor: Window[] } = { ours: [], floor: [] };
    const window = async (side: keyof typeof windows): Promise<number> => {
      const measured = await measureWindow(context, side, runs, () => (side === 'ours' ? driver.workflowSpanMs(plan) : driver.floorSpanMs('linear', count)));
      windows[side].push(measured);
      return measured.workerMs + measured.temporalMs;
    };
    await repeatedly(40, atOnce, () => driver.workflowSpanMs(plan));
    await repeatedly(40, atOnce, () => driver.floorSpanMs('linear', count));
    const pairs: Pair[] = await measurePairs({ pairs: quick ? 2 : 5, warmUp: 0, ours: () => window('ours'), floor: () => window('floor') });
    const ratio = median(pairs.map(({ ours, floor }) => ours / floor));
    const of = (side: keyof typeof windows, part: keyof Window): number => median(windows[side].map((measured) => measured[part]));
    const share = (side: keyof typeof windows): string =>
      `${inMs(of(side, 'workerMs') + of(side, 'temporalMs'))} (worker ${inMs(of(side, 'workerMs'))}, server ${inMs(of(side, 'temporalMs'))})`;
    return {
      lines: [
        {
          what: `processor time per step of worker + Temporal server, ${atOnce} runs at once`,
          ours: `${share('ours')}, ${inRatio(ratio)}`,
          floor: `${share('floor')} by hand`,
          reach: `≤ ${inRatio(reach)}`,
          met: ratio <= reach,
        },
        { what: 'the same, Postgres', ours: inMs(of('ours', 'postgresMs')), floor: 'none', reach: 'stated', met: null },
        {
          what: 'the same, steps a second',
          ours: of('ours', 'stepsPerSecond').toFixed(0),
          floor: `${of('floor', 'stepsPerSecond').toFixed(0)} by hand`,
          reach: 'stated',
          met: null,
        },
      ],
      details: { ratio, windows },
    };
  },
};

/** Per step. */
interface Window {
  workerMs: number;
  temporalMs: number;
  postgresMs: number;
  stepsPerSecond: number;
}

async function measureWindow({ stack }: BenchContext, side: 'ours' | 'floor', runs: number, run: () => Promise<unknown>): Promise<Window> {
  const worker = side === 'ours' ? stack.workerPid() : stack.pids.floor;
  const read = async (): Promise<number[]> =>
    await Promise.all([
      readCpuMs(worker, { withChildren: false }),
      readCpuMs(stack.pids.temporal, { withChildren: false }),
      readCpuMs(stack.pids.postgres, { withChildren: true }),
    ]);
  const before = await read();
  const since = performance.now();
  await repeatedly(runs, atOnce, run);
  const elapsedMs = performance.now() - since;
  const [workerMs = 0, temporalMs = 0, postgresMs = 0] = (await read()).map((after, part) => (after - (before[part] ?? 0)) / (runs * count));
  return { workerMs, temporalMs, postgresMs, stepsPerSecond: (runs * count * 1_000) / elapsedMs };
}
