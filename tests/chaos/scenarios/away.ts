import { setTimeout as sleep } from 'node:timers/promises';
import type { PartName } from '../rig/installation.ts';
import { waitForEnds } from '../rig/ends.ts';
import { startLoad } from '../rig/load.ts';
import { judge, silences } from '../rig/verdict.ts';
import type { Outcome, Scenario, Stage } from './scenario.ts';

const awayMs = 20_000;

interface Absence {
  name: string;
  part: PartName;
  /** `gone`: killed, and not started again for a while. `hung`: there, and silent. */
  how: 'gone' | 'hung';
}

const absences: Absence[] = [
  { name: 'Postgres gone for 20 s', part: 'postgres', how: 'gone' },
  { name: 'Postgres hung for 20 s', part: 'postgres', how: 'hung' },
  { name: 'Temporal gone for 20 s', part: 'temporal', how: 'gone' },
  { name: 'Temporal hung for 20 s', part: 'temporal', how: 'hung' },
];

/** A long absence of a server costs time, and no step an attempt. */
export const away: Scenario[] = absences.map((absence) => ({ name: absence.name, play: (stage) => play(stage, absence) }));

async function play(stage: Stage, { name, part, how }: Absence): Promise<Outcome> {
  const { installation, sink } = stage;
  const loads = await Promise.all([
    startLoad(installation, sink, { kind: 'chain' }),
    startLoad(installation, sink, { kind: 'fan-out', count: 300 }),
    startLoad(installation, sink, { kind: 'fetch', count: 80 }),
    startLoad(installation, sink, { kind: 'send', count: 60 }),
    startLoad(installation, sink, { kind: 'timer', forMs: 5_000 }),
  ]);
  await sleep(stage.random.between(500, 1_500));
  const backAt = await (how === 'gone' ? beGone(stage, part) : beHung(stage, part));
  const unfinished = await waitForEnds(installation, sink, loads);
  const verdict = await judge(installation, sink, loads);
  for (const load of unfinished) verdict.faults.push(`${load.kind} ${load.runId} did not end`);
  const worst = (await silences(installation, loads, backAt)).toSorted((one, other) => other.silenceMs - one.silenceMs);
  stage.say(`${name}: ${worst.map(({ load, silenceMs }) => `${load.kind} ${silenceMs}`).join(', ')} ms after its return; ${verdict.faults.length} faults`);
  return { name, kills: 1, verdict, recoveriesMs: worst.slice(0, 1).map(({ silenceMs }) => silenceMs), note: 'recovery counts from its return' };
}

/** The supervisor sleeps meanwhile, or it would start the part again at once. */
async function beGone({ installation }: Stage, part: PartName): Promise<number> {
  await installation.signalAll('supervisor', 'SIGSTOP');
  await installation.kill([part]);
  await sleep(awayMs);
  await installation.signalAll('supervisor', 'SIGCONT');
  return Date.now();
}

async function beHung({ installation }: Stage, part: PartName): Promise<number> {
  await installation.signalAll(part, 'SIGSTOP');
  await sleep(awayMs);
  await installation.signalAll(part, 'SIGCONT');
  return Date.now();
}
