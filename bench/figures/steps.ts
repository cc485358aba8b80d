import { linearPlan, payload } from '../rig/plans.ts';
import { measurePairs, median, quantile, summarise } from '../rig/statistics.ts';
import { type Figure, inMs, inRatio } from './figure.ts';

const count = 10;
const reach = 1.15;

export const steps: Figure = {
  name: 'steps',
  bound:
    'Temporal: two workflow-task and two activity commits to its SQLite file per step (synchronous=FULL). kOS adds 2.4 ms to the activity of each step (0.7 ms of it work of Postgres: ' +
    'statement and commit; with fsync off it is the same, so the disk is not what bounds it; the rest is two processes that wake each other, codec and evaluation) and 0.7 ms to its workflow task. ' +
    'A ledger of two statements without codec and expressions (a sketch) has 1.13 × on this machine.',
  async measure({ driver, quick }) {
    const plan = await driver.save(linearPlan(count));
    const pairs = await measurePairs({
      pairs: quick ? 10 : 40,
      warmUp: 8,
      ours: () => driver.workflowSpanMs(plan),
      floor: () => driver.floorSpanMs('linear', count),
    });
    const summary = summarise(pairs);
    const whole = await acceptedToFinished(driver, plan, quick ? 10 : 20);
    return {
      lines: [
        {
          what: `${count} no-op tool steps in a row (fuse: none), start to close of the workflow, median`,
          ours: `${inMs(summary.ours)}, ${inRatio(summary.ratio)}`,
          floor: `${inMs(summary.floor)} by hand`,
          reach: `≤ ${inRatio(reach)}`,
          met: summary.ratio <= reach,
        },
        { what: 'the same, from acceptance to the final row, median', ours: inMs(median(whole)), floor: '–', reach: 'stated', met: null },
      ],
      details: { summary, pairs, acceptedToFinishedMs: { median: median(whole), p95: quantile(whole, 0.95) } },
    };
  },
};

/** By the database's clock, ms. */
async function acceptedToFinished(driver: Parameters<Figure['measure']>[0]['driver'], plan: string, times: number): Promise<number[]> {
  const spans: number[] = [];
  for (let index = 0; index < times; index += 1) {
    const run = await driver.ended(await driver.start(plan, { payload }));
    spans.push(Date.parse(run.finishedAt ?? '') - Date.parse(run.createdAt));
  }
  return spans;
}
