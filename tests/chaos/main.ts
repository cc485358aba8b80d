/** `npm run chaos`: kills the parts of a real kOS at random moments, and counts what that did to its runs. Not part of `npm test`: it takes its time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeInstallation } from './rig/installation.ts';
import { chaosPlans } from './rig/plans.ts';
import { createRandom } from './rig/random.ts';
import { openSink } from './rig/sink.ts';
import { judgeRecord } from './rig/verdict.ts';
import { formatTable } from './report.ts';
import { away } from './scenarios/away.ts';
import { copied } from './scenarios/copied.ts';
import { fullDisk } from './scenarios/full-disk.ts';
import { long } from './scenarios/long.ts';
import { randomKills } from './scenarios/random-kills.ts';
import type { Outcome, Scenario, Stage } from './scenarios/scenario.ts';
import { storeLost } from './scenarios/store-lost.ts';
import { startWaiting } from './scenarios/waiting.ts';

const { values } = parseArgs({
  options: {
    /** The same seed, the same moments. */
    seed: { type: 'string', default: '1' },
    /** Moments per kind of kill. */
    rounds: { type: 'string', default: '10' },
    /** How long the long scenario kills. */
    minutes: { type: 'string', default: '10' },
    /** Part of a scenario's name. */
    only: { type: 'string', default: '' },
    /** Leaves the home behind. */
    keep: { type: 'boolean', default: false },
  },
});

const scenarios: Scenario[] = [...randomKills, storeLost, ...away, copied, fullDisk, long];

const folder = await mkdtemp('/tmp/kc-');
const installation = makeInstallation(join(folder, 'home'));
const sink = await openSink();
const say = (line: string): void => console.log(`${new Date().toISOString().slice(11, 19)} [load ${(loadavg()[0] ?? 0).toFixed(1)}] ${line}`);
const stage: Stage = { installation, sink, random: createRandom(Number(values.seed)), rounds: Number(values.rounds), minutes: Number(values.minutes), say };
const outcomes: Outcome[] = [];

async function play(work: () => Promise<Outcome>): Promise<void> {
  const outcome = await work();
  outcome.verdict.faults.push(...(await judgeRecord(installation)));
  outcomes.push(outcome);
  for (const fault of outcome.verdict.faults) say(`FAULT ${fault}`);
}

say(`seed ${values.seed}, home ${installation.home}`);
try {
  say(`ready after ${Math.round(await installation.start())} ms`);
  await installation.patiently(async (client) => {
    const { value, etag } = await client.settings.get();
    await client.settings.change({ egress: [...value.egress, sink.authority] }, etag);
  });
  for (const source of Object.values(chaosPlans)) await installation.patiently((client) => client.plans.save({ source, format: 'yaml' }));
  const waiting = await startWaiting(stage);
  for (const scenario of scenarios) {
    if (scenario.name.toLowerCase().includes(values.only.toLowerCase())) await play(() => scenario.play(stage));
  }
  await play(() => waiting.finish());
} finally {
  console.log(formatTable(outcomes));
  await installation.stop().catch((error: unknown) => say(String(error)));
  await sink.close();
  if (!values.keep) await rm(folder, { recursive: true, force: true });
}
process.exitCode = outcomes.every(({ verdict }) => verdict.faults.length === 0 && verdict.missing === 0 && verdict.doubled === 0) ? 0 : 1;
