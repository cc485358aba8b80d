import { largePlan } from '../rig/plans.ts';
import { median } from '../rig/statistics.ts';
import { type Figure, inMs } from './figure.ts';

const count = 2_000;
const reachMs = 300;

export const compile: Figure = {
  name: 'compile',
  bound:
    'Processor time: a third of it reads the YAML text with positions (the yaml library), a sixth is garbage collection, the rest expressions, types and references, the shape and its digest.',
  async measure({ driver, quick }) {
    const source = largePlan(count);
    const spans: number[] = [];
    for (let index = -2; index < (quick ? 5 : 15); index += 1) {
      const since = performance.now();
      driver.check(source);
      if (index >= 0) spans.push(performance.now() - since);
    }
    const span = median(spans);
    return {
      lines: [
        {
          what: `compile and check of a plan with ${count.toLocaleString('en')} steps (${Math.round(source.length / 1_000)} kB of YAML), median`,
          ours: inMs(span),
          floor: '–',
          reach: `≤ ${inMs(reachMs)}`,
          met: span <= reachMs,
        },
      ],
      details: { spans },
    };
  },
};
