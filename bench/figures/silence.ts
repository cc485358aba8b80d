import { setTimeout as sleep } from 'node:timers/promises';
import { silenceAfter } from '#tests/chaos/rig/silence.ts';
import type { Driver } from '../rig/driver.ts';
import { linearPlan, payload } from '../rig/plans.ts';
import { median } from '../rig/statistics.ts';
import { type Figure, inMs } from './figure.ts';

const runsAtOnce = 8;
/** Long enough that every run is in the middle when the worker dies. */
const count = 60;
const reachMs = 4_000;

export const silence: Figure = {
  name: 'silence',
  bound:
    'The heartbeat time-out (2 s) for an activity that was running, the workflow-task time-out (3 s) for a decision that was being made, and the start of a worker (about 1 s).',
  async measure({ stack, driver, quick }) {
    const plan = await driver.save(linearPlan(count));
    const silences: number[] = [];
    for (let kill = 0; kill < (quick ? 2 : 5); kill += 1) {
      const runIds = await Promise.all(Array.from({ length: runsAtOnce }, () => driver.start(plan, { payload })));
      await sleep(1_200 + 150 * kill);
      const killedAt = await stack.killWorker();
      for (const runId of runIds) {
        const run = await driver.ended(runId);
        if (run.status !== 'succeeded') throw new Error(`The run ${runId} has ${run.status} after the kill: ${run.error?.message ?? ''}`);
        const lasted = silenceAfter(killedAt, await signsOfLife(driver, runId));
        if (lasted !== null) silences.push(lasted);
      }
    }
    const longest = Math.max(...silences);
    return {
      lines: [
        {
          what: 'silence of a run after SIGKILL of the worker, the longest',
          ours: `${inMs(longest)} (median ${inMs(median(silences))}, ${silences.length} runs)`,
          floor: '10,700 ms with the SDK’s defaults (reference)',
          reach: `≤ ${inMs(reachMs)}`,
          met: longest <= reachMs,
        },
      ],
      details: { longest, silences },
    };
  },
};

/** Instants at which its steps began or ended, ms since 1970 by the database's clock, which is this machine's. */
async function signsOfLife(driver: Driver, runId: string): Promise<number[]> {
  const rows = await driver.query<{ startedAt: Date | null; finishedAt: Date | null }>(
    (sql) => sql`select started_at as "startedAt", finished_at as "finishedAt" from kos.steps where run_id = ${runId}`,
  );
  return rows.flatMap(({ startedAt, finishedAt }) => [startedAt, finishedAt].flatMap((at) => (at === null ? [] : [at.getTime()])));
}
