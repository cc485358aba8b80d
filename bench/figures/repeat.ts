import { setTimeout as sleep } from 'node:timers/promises';
import { silenceAfter } from '#tests/chaos/rig/silence.ts';
import type { Driver } from '../rig/driver.ts';
import { repeatPlan } from '../rig/plans.ts';
import { type Figure, inMs, inRatio } from './figure.ts';

const reach = 1.1;
const resumeReachMs = 4_000;

export const repeat: Figure = {
  name: 'repeat',
  bound:
    'Each round: two transactions (intent, outcome), a call, and its condition. A batch of 200 is one activity, so the history grows by some events for 200 rounds. After a kill: the heartbeat time-out (2 s) and the start of a worker (about 1 s).',
  async measure({ stack, driver, quick, say }) {
    const rounds = quick ? 2_000 : 10_000;
    const share = rounds / 10;
    const undisturbed = await driver.ended(await driver.start(await driver.save(repeatPlan(rounds))));
    if (undisturbed.status !== 'succeeded') throw new Error(`The run ${undisturbed.id} has ${undisturbed.status}: ${undisturbed.error?.message ?? ''}`);
    const cost = await roundTimes(driver, undisturbed.id, share);
    const silences: number[] = [];
    const killed = await driver.start(await driver.save(repeatPlan(rounds / 2)));
    for (const done of quick ? [200] : [500, 1_500, 2_500]) {
      await untilDone(driver, killed, done);
      say(`… more than ${done} of ${rounds / 2} rounds done: SIGKILL`);
      const killedAt = await stack.killWorker();
      await sleep(resumeReachMs + 2_000);
      const lasted = silenceAfter(killedAt, await endsOf(driver, killed));
      if (lasted !== null) silences.push(lasted);
    }
    const survived = await driver.ended(killed);
    const effects = await effectCounts(driver, killed);
    const longest = Math.max(...silences);
    const ratio = cost.lastMs / cost.firstMs;
    return {
      lines: [
        {
          what: `${rounds.toLocaleString('en-US')} rounds of an effect in one run: time for each of the last ${share} against the first ${share}`,
          ours: `${inMs(cost.lastMs)} : ${inMs(cost.firstMs)}, ${inRatio(ratio)}`,
          floor: 'its own first tenth',
          reach: `≤ ${inRatio(reach)}`,
          met: ratio <= reach,
        },
        {
          what: 'SIGKILL of the worker in the midst of rounds: silence, the longest',
          ours: `${inMs(longest)} (${silences.length} kills); ${effects.happened} of ${rounds / 2} effects once`,
          floor: '–',
          reach: `≤ ${inMs(resumeReachMs)}, all once`,
          met: longest <= resumeReachMs && survived.status === 'succeeded' && effects.happened === rounds / 2 && effects.rows === rounds / 2,
        },
      ],
      details: { rounds, cost, ratio, silences, effects, status: survived.status },
    };
  },
};

/** Milliseconds for each of the first and of the last rounds, end to end. */
async function roundTimes(driver: Driver, runId: string, share: number): Promise<{ firstMs: number; lastMs: number }> {
  const ends = await endsOf(driver, runId);
  const [began = Number.NaN] = await driver
    .query<{ at: Date }>((sql) => sql`select started_at as at from kos.steps where run_id = ${runId} and iteration = 0`)
    .then((rows) => rows.map(({ at }) => at.getTime()));
  const last = ends.length - 1;
  return { firstMs: ((ends[share - 1] ?? Number.NaN) - began) / share, lastMs: ((ends[last] ?? Number.NaN) - (ends[last - share] ?? Number.NaN)) / share };
}

/** Instants at which rounds ended, ms since 1970 by the database's clock, which is this machine's. */
async function endsOf(driver: Driver, runId: string): Promise<number[]> {
  const rows = await driver.query<{ at: Date }>(
    (sql) => sql`select finished_at as at from kos.steps where run_id = ${runId} and iteration is not null and finished_at is not null order by iteration`,
  );
  return rows.map(({ at }) => at.getTime());
}

async function untilDone(driver: Driver, runId: string, count: number): Promise<void> {
  while ((await endsOf(driver, runId)).length < count) await sleep(50);
}

async function effectCounts(driver: Driver, runId: string): Promise<{ rows: number; happened: number }> {
  const [row] = await driver.query<{ rows: number; happened: number }>(
    (sql) => sql`select count(*)::int as rows, count(*) filter (where status = 'happened')::int as happened from kos.effects where run_id = ${runId}`,
  );
  return row ?? { rows: 0, happened: 0 };
}
