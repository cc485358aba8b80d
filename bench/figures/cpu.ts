import { setTimeout as sleep } from 'node:timers/promises';
import { repeatedly } from '../rig/driver.ts';
import { linearPlan } from '../rig/plans.ts';
import { readCpuMs } from '../rig/processes.ts';
import { measureRounds, median, ratioOf } from '../rig/statistics.ts';
import { type BenchContext, type Figure, inMs, inRatio } from './figure.ts';

const count = 10;
const atOnce = 20;
const reach = 1.25;
/**
 * A window goes on for so long after its last run: the server's timers of these runs (workflow tasks 3 s, heartbeats 2 s, sticky queues 1 s) ring in
 * the window that made them, not in the next one. Those of a `startToCloseTimeout` without a heartbeat time-out, a minute later, are charged to nobody.
 */
const settleMs = 3_300;

export const cpu: Figure = {
  name: 'cpu',
  bound:
    'Temporal: per step two workflow-task and two activity commits, and two entries into the workflow sandbox, both also in the floor. Of ours: the ledger’s statement, the codec, and a ' +
    'timer of the server for each activity’s heartbeat, by which a lost worker is noticed.',
  async measure(context) {
    const { driver, quick } = context;
    const plan = await driver.save(linearPlan(count));
    const runs = quick ? 40 : 60;
    const windows: Record<Side, Window[]> = { ours: [], floor: [], plain: [] };
    const work: Record<Side, () => Promise<unknown>> = {
      ours: () => driver.workflowSpanMs(plan),
      floor: () => driver.floorSpanMs('linearWithHeartbeat', count),
      plain: () => driver.floorSpanMs('linear', count),
    };
    const window = (side: Side) => async (): Promise<number> => {
      const measured = await measureWindow(context, side === 'ours' ? 'ours' : 'floor', runs, work[side]);
      windows[side].push(measured);
      return measured.workerMs + measured.temporalMs;
    };
    for (const run of Object.values(work)) await repeatedly(40, atOnce, run);
    const measured = await measureRounds({
      rounds: quick ? 2 : 6,
      warmUp: 0,
      sides: { ours: window('ours'), floor: window('floor'), plain: window('plain') },
    });
    const of = (side: Side, part: keyof Window): number => median(windows[side].map((each) => each[part]));
    const share = (side: Side): string => `${inMs(median(measured[side]))} (worker ${inMs(of(side, 'workerMs'))}, server ${inMs(of(side, 'temporalMs'))})`;
    const [ratio, plainRatio] = [ratioOf(measured.ours, measured.floor), ratioOf(measured.ours, measured.plain)];
    return {
      lines: [
        {
          what: `processor time per step of worker + Temporal server, ${atOnce} runs at once`,
          ours: `${share('ours')}, ${inRatio(ratio)}`,
          floor: `${share('floor')} by hand, activities with heartbeat time-out and retry as ours`,
          reach: `≤ ${inRatio(reach)}`,
          met: ratio <= reach,
        },
        {
          what: 'the same, against activities that are not noticed when their worker is lost',
          ours: inRatio(plainRatio),
          floor: `${share('plain')} by hand, startToCloseTimeout alone`,
          reach: `≤ ${inRatio(reach)}`,
          met: plainRatio <= reach,
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
      details: { ratio, plainRatio, windows },
    };
  },
};

type Side = 'ours' | 'floor' | 'plain';

/** Per step. */
interface Window {
  workerMs: number;
  temporalMs: number;
  postgresMs: number;
  stepsPerSecond: number;
}

async function measureWindow({ stack }: BenchContext, worker: 'ours' | 'floor', runs: number, run: () => Promise<unknown>): Promise<Window> {
  const pid = worker === 'ours' ? stack.workerPid() : stack.pids.floor;
  const read = async (): Promise<number[]> =>
    await Promise.all([
      readCpuMs(pid, { withChildren: false }),
      readCpuMs(stack.pids.temporal, { withChildren: false }),
      readCpuMs(stack.pids.postgres, { withChildren: true }),
    ]);
  const before = await read();
  const since = performance.now();
  await repeatedly(runs, atOnce, run);
  const elapsedMs = performance.now() - since;
  await sleep(settleMs);
  const [workerMs = 0, temporalMs = 0, postgresMs = 0] = (await read()).map((after, part) => (after - (before[part] ?? 0)) / (runs * count));
  return { workerMs, temporalMs, postgresMs, stepsPerSecond: (runs * count * 1_000) / elapsedMs };
}
