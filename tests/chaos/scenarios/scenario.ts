import type { Installation } from '../rig/installation.ts';
import type { Random } from '../rig/random.ts';
import type { Sink } from '../rig/sink.ts';
import type { Verdict } from '../rig/verdict.ts';

export interface Stage {
  installation: Installation;
  sink: Sink;
  random: Random;
  /** Kills at this many moments. */
  rounds: number;
  /** How long the long scenario kills. */
  minutes: number;
  say: (line: string) => void;
}

/** One row of the results. */
export interface Outcome {
  name: string;
  kills: number;
  verdict: Verdict;
  /** Per kill, how long the run that stood still longest did, ms; kills that met no run at work are left out. */
  recoveriesMs: number[];
  /** What else is worth saying. */
  note: string;
}

export interface Scenario {
  name: string;
  play: (stage: Stage) => Promise<Outcome>;
}
