import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import { openPool } from '#services/database/connect.ts';
import { byHand } from '#tests/rig/by-hand.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

const runsAtOnce = 40;

let engine: TestEngine;
const { override, skip } = byHand(() => engine);
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
  await slowDown(engine.rig.addresses.app.database);
});
afterAll(() => engine.close());

/** As with a slow disk: what changes a step takes a while, so that transactions meet in the midst of it. */
async function slowDown(database: string): Promise<void> {
  const sql = openPool({ ...inject('servers').postgres, database }, { max: 1, applicationName: 'kos-test' });
  await sql.unsafe(`
    create function kos.take_a_while() returns trigger language plpgsql as $$ begin perform pg_sleep(0.03); return new; end $$;
    create trigger slow before update on kos.steps for each row execute function kos.take_a_while();`);
  await sql.end();
}

/** Of both sides: a worker that was the victim tries again, and only the database tells of it. */
async function deadlocks(): Promise<number> {
  const [row] = await engine.rig.system.sql<{ count: number }[]>`
    select deadlocks::int as count from pg_stat_database where datname = current_database()`;
  return row?.count ?? Number.NaN;
}

/** A server process tells what it has counted a second late. */
const countedWithinMs = 1_500;

async function startMany(source: string): Promise<string[]> {
  const version = await engine.save(source);
  const runs = await Promise.all(Array.from({ length: runsAtOnce }, () => engine.start(version)));
  await Promise.all(runs.map((runId) => engine.until(runId, (run) => run.status === 'waiting')));
  return runs;
}

/** Until the run's wait is looked at next, ms. */
async function leftMs(runId: string): Promise<number> {
  const [wait] = await engine.rig.system.sql<{ ms: number }[]>`
    select (extract(epoch from least(expires_at, next_look_at) - clock_timestamp()) * 1000)::float8 as ms from kos.waits where run_id = ${runId} and status = 'open'`;
  return wait?.ms ?? 0;
}

/** Some a little before their moment, some a little behind: what came of each, where it was refused the code. */
const inTheirMoment = (runs: string[], act: (runId: string) => Promise<void>): Promise<string[]> =>
  Promise.all(
    runs.map(async (runId, index) => {
      const ms = Math.max(0, (await leftMs(runId)) + (index % 20) * 15 - 30);
      await new Promise((resolve) => setTimeout(resolve, ms));
      try {
        await act(runId);
        return 'done';
      } catch (thrown) {
        if (thrown instanceof KosError) return thrown.code;
        return String(thrown);
      }
    }),
  );

async function expectNobodyStuck(runs: string[], ends: string[]): Promise<void> {
  const ended = await Promise.all(runs.map((runId) => engine.ended(runId)));
  expect(ended.map(({ status }) => status)).toEqual(runs.map(() => 'succeeded'));
  expect(ends.filter((end) => !['done', 'step_ended', 'step_at_work', 'run_final', 'run_succeeded'].includes(end))).toEqual([]);
  expect(ends).toContain('done');
  await new Promise((resolve) => setTimeout(resolve, countedWithinMs));
  expect(await deadlocks()).toBe(0);
}

describe('a step that is ended by hand in the moment its wait ends by itself', () => {
  it.each(['skip', 'override'] as const)('%s, and the timer comes due', async (action) => {
    const runs = await startMany(`plan: due-${action}\nsteps:\n  hold: { wait: { forMs: 6000 } }\n`);
    const ends = await inTheirMoment(runs, (runId) => (action === 'skip' ? skip(runId, 'hold') : override(runId, 'hold', { until: null })));
    await expectNobodyStuck(runs, ends);
  });

  it('a check is recorded', async () => {
    const runs = await startMany(`
plan: due-check
steps:
  arrived: { wait: { check: { tool: test.repeat, with: { file: "${engine.home}/due", waitMs: 0 } }, until: "\${check.output.at < 0}", everyMs: 2000, expiresInMs: 600000 } }
`);
    await expectNobodyStuck(runs, await inTheirMoment(runs, (runId) => skip(runId, 'arrived')));
  });

  it('the approval that covers it expires', async () => {
    const runs = await startMany(`
plan: due-approval
steps:
  ask: { approval: { for: [send], expiresInMs: 6000, onExpiry: continue } }
  send: { transform: 1 }
`);
    await expectNobodyStuck(runs, await inTheirMoment(runs, (runId) => skip(runId, 'send')));
  });
});
