import { makeDriver } from './rig/driver.ts';
import { startStack } from './rig/stack.ts';
import { effectsPlan, purePlan } from './rig/plans.ts';
import { measureRounds, median, ratioOf } from './rig/statistics.ts';
const stack = await startStack({ workerFlags: [], say: () => undefined });
const driver = await makeDriver(stack as never);
const plans = { pure: await driver.save(purePlan(10)), eff: await driver.save(effectsPlan(10)), eff20: await driver.save(effectsPlan(20)) };
const rounds = Number(process.argv[2] ?? 20);
const sides = await measureRounds({ rounds, warmUp: 4, sides: {
  pure: () => driver.workflowSpanMs(plans.pure), eff: () => driver.workflowSpanMs(plans.eff), eff20: () => driver.workflowSpanMs(plans.eff20), hand: () => driver.floorSpanMs('linear', 10) } });
for (const [n, v] of Object.entries(sides)) console.log(n, median(v).toFixed(1), ratioOf(v, sides.hand).toFixed(3));
process.exit(0);
