import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitForEnds } from '../rig/ends.ts';
import { startLoad } from '../rig/load.ts';
import { addVerdicts, judge, noVerdict, silences } from '../rig/verdict.ts';
import { approve, untilAsked } from '../rig/people.ts';
import type { Outcome, Scenario, Stage } from './scenario.ts';

const name = "Temporal's store deleted";
/** Ends while the store is being built anew. */
const timerMs = 8_000;

/** Temporal is killed in the middle of runs and finds nothing when it starts again: every run is built from Postgres. */
export const storeLost: Scenario = { name, play };

async function play(stage: Stage): Promise<Outcome> {
  const { installation, sink, random } = stage;
  let verdict = noVerdict();
  const recoveriesMs: number[] = [];
  for (let round = 1; round <= stage.rounds; round += 1) {
    const parked = await Promise.all([startLoad(installation, sink, { kind: 'approval' }), startLoad(installation, sink, { kind: 'timer', forMs: timerMs })]);
    const approvalId = await untilAsked(installation, parked[0].runId);
    const starting = [
      startLoad(installation, sink, { kind: 'chain' }),
      startLoad(installation, sink, { kind: 'fan-out', count: 600 }),
      startLoad(installation, sink, { kind: 'fan-out', count: 150 }),
      startLoad(installation, sink, { kind: 'fetch', count: 60 }),
      startLoad(installation, sink, { kind: 'send', count: 40 }),
    ];
    await sleep(random.between(0, 4_000));
    const killedAt = await installation.kill(['temporal']);
    await rm(join(installation.home, 'temporal'), { recursive: true, force: true });
    const working = await Promise.all(starting);
    await approve(installation, approvalId);
    const loads = [...parked, ...working];
    const unfinished = await waitForEnds(installation, sink, loads);
    verdict = addVerdicts(verdict, await judge(installation, sink, loads));
    for (const load of unfinished) verdict.faults.push(`${load.kind} ${load.runId} did not end`);
    const worst = (await silences(installation, working, killedAt)).toSorted((one, other) => other.silenceMs - one.silenceMs);
    if (worst[0] !== undefined) recoveriesMs.push(worst[0].silenceMs);
    stage.say(
      `${name} ${round}/${stage.rounds}: ${worst.map(({ load, silenceMs }) => `${load.kind} ${silenceMs}`).join(', ')} ms; ${verdict.faults.length} faults`,
    );
  }
  return { name, kills: stage.rounds, verdict, recoveriesMs, note: 'a run that waits for a person and one for a timer among them' };
}
