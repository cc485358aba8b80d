import { setTimeout as sleep } from 'node:timers/promises';
import { type PartName, partNames } from '../rig/installation.ts';
import { waitForEnds } from '../rig/ends.ts';
import { type Load, startLoad } from '../rig/load.ts';
import { addVerdicts, judge, noVerdict, silences } from '../rig/verdict.ts';
import type { Outcome, Scenario, Stage } from './scenario.ts';

interface Target {
  name: string;
  parts: readonly PartName[];
  /** The supervisor is among them: nobody starts anything again but a new `npm start`. */
  restart: boolean;
}

const targets: Target[] = [
  { name: 'worker', parts: ['worker'], restart: false },
  { name: 'Postgres', parts: ['postgres'], restart: false },
  { name: 'Temporal', parts: ['temporal'], restart: false },
  { name: 'API', parts: ['api'], restart: false },
  { name: 'supervisor', parts: ['supervisor'], restart: true },
  { name: 'all together', parts: partNames, restart: true },
];

/** About how long the load takes undisturbed, ms: kills fall into this span, from the very first request on. */
const spanMs = 4_000;

/** At random moments of several runs at once: SIGKILL, and everything is as if nothing had been. */
export const randomKills: Scenario[] = targets.map((target) => ({ name: `SIGKILL: ${target.name}`, play: (stage) => play(stage, target) }));

async function play(stage: Stage, target: Target): Promise<Outcome> {
  let verdict = noVerdict();
  const recoveriesMs: number[] = [];
  for (let round = 1; round <= stage.rounds; round += 1) {
    const played = await playRound(stage, target);
    verdict = addVerdicts(verdict, await judge(stage.installation, stage.sink, played.loads));
    for (const load of played.unfinished) verdict.faults.push(`${load.kind} ${load.runId} did not end`);
    const worst = (await silences(stage.installation, played.loads, played.killedAt)).toSorted((one, other) => other.silenceMs - one.silenceMs);
    const slowest = worst[0];
    if (slowest !== undefined) recoveriesMs.push(slowest.silenceMs);
    stage.say(
      `${target.name} ${round}/${stage.rounds}: killed after ${played.momentMs} ms, ${worst.map(({ load, silenceMs }) => `${load.kind} ${silenceMs}`).join(', ')} ms; ${verdict.faults.length} faults`,
    );
  }
  return { name: `SIGKILL: ${target.name}`, kills: stage.rounds, verdict, recoveriesMs, note: '' };
}

async function playRound(stage: Stage, target: Target): Promise<{ loads: Load[]; unfinished: Load[]; killedAt: number; momentMs: number }> {
  const { installation, sink, random } = stage;
  const momentMs = random.between(0, spanMs);
  const starting = [
    startLoad(installation, sink, { kind: 'chain' }),
    startLoad(installation, sink, { kind: 'fan-out', count: 150 }),
    startLoad(installation, sink, { kind: 'fetch', count: 60 }),
    startLoad(installation, sink, { kind: 'send', count: 40 }),
    startLoad(installation, sink, { kind: 'fan-out', count: 100 }),
  ];
  await sleep(momentMs);
  // Accepted, or about to be, when the kill comes: neither lost nor doubled.
  starting.push(startLoad(installation, sink, { kind: 'fan-out', count: 20 }));
  await sleep(random.between(0, 40));
  const killedAt = await installation.kill(target.parts);
  if (target.restart) await installation.start();
  const loads = await Promise.all(starting);
  return { loads, unfinished: await waitForEnds(installation, sink, loads), killedAt, momentMs };
}
