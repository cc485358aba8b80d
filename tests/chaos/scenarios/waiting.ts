import { waitForEnds } from '../rig/ends.ts';
import { type Load, startLoad } from '../rig/load.ts';
import { approve, untilAsked } from '../rig/people.ts';
import { judge } from '../rig/verdict.ts';
import type { Outcome, Stage } from './scenario.ts';

const name = 'Waiting across all of this';

/** Late is a timer that rings this long after its time, though kOS runs. */
const ringsWithinMs = 5_000;

/** Runs that wait while everything else happens: one for a person, one for a timer that rings meanwhile, one for a timer that rings after it. */
export interface Waiting {
  finish: () => Promise<Outcome>;
}

export async function startWaiting(stage: Stage): Promise<Waiting> {
  const { installation, sink } = stage;
  const person = await startLoad(installation, sink, { kind: 'approval' });
  const early = await startLoad(installation, sink, { kind: 'timer', forMs: 20_000 });
  const approvalId = await untilAsked(installation, person.runId);
  return {
    finish: async () => {
      const late = await startLoad(installation, sink, { kind: 'timer', forMs: 6_000 });
      await approve(installation, approvalId);
      // The decision stands; whoever should have been told of it dies.
      await installation.kill(['supervisor', 'postgres', 'temporal', 'worker', 'api']);
      await installation.start();
      const loads = [person, early, late];
      const unfinished = await waitForEnds(installation, sink, loads);
      const verdict = await judge(installation, sink, loads);
      for (const load of unfinished) verdict.faults.push(`${load.kind} ${load.runId} did not end`);
      verdict.faults.push(...(await judgeRinging(stage, late, 6_000)), ...(await judgeRinging(stage, early, 20_000, true)));
      return { name, kills: 1, verdict, recoveriesMs: [], note: 'the decision came a moment before everything was killed' };
    },
  };
}

async function judgeRinging({ installation }: Stage, { runId }: Load, forMs: number, mayBeLate = false): Promise<string[]> {
  const [row] = await installation.query<{ waitedMs: number }>(
    (sql) => sql`select (extract(epoch from w.closed_at - w.opened_at) * 1000)::float8 as "waitedMs" from kos.waits w where w.run_id = ${runId}`,
  );
  if (row === undefined) return [`timer ${runId} left no wait`];
  if (row.waitedMs < forMs) return [`timer ${runId} rang after ${Math.round(row.waitedMs)} ms of ${forMs}`];
  return !mayBeLate && row.waitedMs > forMs + ringsWithinMs ? [`timer ${runId} rang ${Math.round(row.waitedMs - forMs)} ms late`] : [];
}
