import { fanOutPlan } from '../rig/plans.ts';
import { measurePairs, summarise } from '../rig/statistics.ts';
import { type Figure, inMs, inRatio } from './figure.ts';

const count = 100;
const reach = 1.2;

export const fanOut: Figure = {
  name: 'fanout',
  bound:
    'Processor time on two cores, which are busy all along: an item by hand takes 7.2 ms of it (server 5.2, worker 1.7), ours 10.4 ms (server 5.9, worker 3.2, Postgres 0.95); the spans are as these are. ' +
    'Besides, two activities more (open, join), 45 ms together. How many commands a workflow task has (50 or 200) makes no difference.',
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
