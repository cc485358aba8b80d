/** `npm run chaos`: kills the parts of a real kOS at random moments, and counts what that did to its runs. Not part of `npm test`: it takes its time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '#config';
import { makeInstallation } from './rig/installation.ts';
import { chaosPlans } from './rig/plans.ts';
import { createRandom } from './rig/random.ts';
import { openSink } from './rig/sink.ts';
import { judgeRecord } from './rig/verdict.ts';
import { formatTable } from './report.ts';
import { randomKills } from './scenarios/random-kills.ts';
import type { Outcome, Scenario } from './scenarios/scenario.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
  },
});

const scenarios: Scenario[] = [...randomKills];

const folder = await mkdtemp('/tmp/kc-');
const installation = makeInstallation(join(folder, 'home'), projectRoot);
const sink = await openSink();
const random = createRandom(Number(values.seed));
const say = (line: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);
const outcomes: Outcome[] = [];
say(`seed ${values.seed}, home ${installation.home}`);
try {
  say(`ready after ${Math.round(await installation.start())} ms`);
  await installation.patiently(async (client) => {
    const { value, etag } = await client.settings.get();
    await client.settings.change({ egress: [...value.egress, sink.authority] }, etag);
  });
  for (const source of Object.values(chaosPlans)) await installation.patiently((client) => client.plans.save({ source, format: 'yaml' }));
  for (const scenario of scenarios.filter(({ name }) => name.toLowerCase().includes(values.only.toLowerCase()))) {
    const outcome = await scenario.play({ installation, sink, random, rounds: Number(values.rounds), say });
    outcome.verdict.faults.push(...(await judgeRecord(installation)));
    outcomes.push(outcome);
    for (const fault of outcome.verdict.faults) say(`FAULT ${fault}`);
  }
} finally {
  console.log(formatTable(outcomes));
  await installation.stop().catch((error: unknown) => say(String(error)));
  await sink.close();
  if (!values.keep) await rm(folder, { recursive: true, force: true });
}
process.exitCode = outcomes.every(({ verdict }) => verdict.faults.length === 0 && verdict.missing === 0 && verdict.doubled === 0) ? 0 : 1;
