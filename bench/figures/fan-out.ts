import { fanOutPlan } from '../rig/plans.ts';
import { measurePairs, summarise } from '../rig/statistics.ts';
import { type Figure, inMs, inRatio } from './figure.ts';

const count = 100;
const reach = 1.2;

export const fanOut: Figure = {
  name: 'fanout',
  bound: 'The two processors: 100 activities are scheduled, handed out and completed at once; kOS adds a transaction to each, and two activities (open, join).',
  async measure({ driver, quick }) {
    const plan = await driver.save(fanOutPlan(count));
    const pairs = await measurePairs({
      pairs: quick ? 6 : 24,
      warmUp: 4,
      ours: () => driver.workflowSpanMs(plan),
      floor: () => driver.floorSpanMs('fanOut', count),
    });
    const summary = summarise(pairs);
    return {
      lines: [
        {
          what: `fan-out ${count} + join, start to close of the workflow, median`,
          ours: `${inMs(summary.ours)}, ${inRatio(summary.ratio)}`,
          floor: `${inMs(summary.floor)} by hand`,
          reach: `≤ ${inRatio(reach)}`,
          met: summary.ratio <= reach,
        },
      ],
      details: { summary, pairs },
    };
  },
};
