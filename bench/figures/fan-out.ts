import { fanOutPlan } from '../rig/plans.ts';
import { measurePairs, summarise } from '../rig/statistics.ts';
import { type Figure, inMs, inRatio } from './figure.ts';

const count = 100;
const reach = 1.2;

export const fanOut: Figure = {
  name: 'fanout',
  bound:
    'Quick items, done one after another in the workflow’s own task: four commits of Temporal’s workflow tasks, two activities (open, join), and the rows, events and audit entries of a hundred items. ' +
    'One activity for each item (fuse: none): processor time on two cores, which are busy all along: an item by hand takes 7.2 ms of it (server 5.2, worker 1.7), ours 10.4 ms (server 5.9, worker 3.2, ' +
    'Postgres 0.95); besides, two activities more, 45 ms together. How many commands a workflow task has (50 or 200) makes no difference.',
  async measure({ driver, quick }) {
    const fused = await driver.save(fanOutPlan(count, 'pure'));
    const single = await driver.save(fanOutPlan(count, 'none'));
    const against = (plan: string) =>
      measurePairs({
        pairs: quick ? 6 : 24,
        warmUp: 4,
        ours: () => driver.workflowSpanMs(plan),
        floor: () => driver.floorSpanMs('fanOut', count),
      });
    const pairs = { fused: await against(fused), single: await against(single) };
    const [summary, alone] = [summarise(pairs.fused), summarise(pairs.single)];
    return {
      lines: [
        {
          what: `fan-out ${count} + join, start to close of the workflow, median`,
          ours: `${inMs(summary.ours)}, ${inRatio(summary.ratio)}`,
          floor: `${inMs(summary.floor)} by hand`,
          reach: `≤ ${inRatio(reach)}`,
          met: summary.ratio <= reach,
        },
        {
          what: 'the same with an activity for each item (fuse: none)',
          ours: `${inMs(alone.ours)}, ${inRatio(alone.ratio)}`,
          floor: `${inMs(alone.floor)} by hand`,
          reach: `≤ ${inRatio(reach)}`,
          met: alone.ratio <= reach,
        },
      ],
      details: { summary, alone, pairs },
    };
  },
};
