import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { makeInstallation } from '../rig/installation.ts';
import { readRun, waitForEnds } from '../rig/ends.ts';
import { startLoad } from '../rig/load.ts';
import { approve, untilAsked } from '../rig/people.ts';
import { judge, judgeRecord } from '../rig/verdict.ts';
import type { Outcome, Scenario, Stage } from './scenario.ts';

const name = 'Stopped, copied, started elsewhere';

/** `$KOS_HOME` is all there is: a copy of it goes on with the runs that were open. */
export const copied: Scenario = { name, play };

async function play(stage: Stage): Promise<Outcome> {
  const { installation, sink } = stage;
  const parked = await startLoad(installation, sink, { kind: 'approval' });
  const approvalId = await untilAsked(installation, parked.runId);
  const ended = await startLoad(installation, sink, { kind: 'fan-out', count: 50 });
  await waitForEnds(installation, sink, [ended]);
  const working = await Promise.all([startLoad(installation, sink, { kind: 'chain' }), startLoad(installation, sink, { kind: 'fetch', count: 300 })]);
  await installation.stop();
  const elsewhere = makeInstallation(`${installation.home}-copy`);
  await promisify(execFile)('cp', ['-a', installation.home, elsewhere.home]);
  await elsewhere.start();
  await approve(elsewhere, approvalId);
  const loads = [parked, ended, ...working];
  const unfinished = await waitForEnds(elsewhere, sink, loads);
  const verdict = await judge(elsewhere, sink, loads);
  for (const load of unfinished) verdict.faults.push(`${load.kind} ${load.runId} is ${(await readRun(elsewhere, load.runId)).status} in the copy`);
  verdict.faults.push(...(await judgeRecord(elsewhere)));
  await elsewhere.stop();
  stage.say(`${name}: ${verdict.faults.length} faults`);
  await installation.start();
  // What the copy has done, the original does not know: its own runs are ended without their effects being counted again.
  for (const { runId } of loads)
    await installation.patiently((client) => client.runs.act(runId, 'cancel', { reason: 'goes on in a copy' })).catch(() => undefined);
  return { name, kills: 0, verdict, recoveriesMs: [], note: '' };
}
