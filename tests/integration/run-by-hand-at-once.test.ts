import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim } from '#core/engine/claim.ts';
import { recordLook } from '#services/runs/ledger/checks.ts';
import { markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import { takeStep } from '#services/runs/ledger/take-step.ts';
import { closeWait, lockWait } from '#services/runs/ledger/waits.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { byHand } from '#tests/rig/by-hand.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

const runsInAll = 40;
/** Each has two transactions under way; the pool holds twenty. */
const atATime = 8;
/** What a worker holds the wait for, so that the person comes in the midst of it, ms. */
const inTheMidstMs = 300;

let engine: TestEngine;
const { override, skip } = byHand(() => engine);
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
});
afterAll(() => engine.close());

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Waiting {
  claim: Claim;
  waitId: string;
}

async function startWaiting(source: string): Promise<Waiting[]> {
  const version = await engine.save(source);
  const runs = await Promise.all(Array.from({ length: runsInAll }, () => engine.start(version)));
  await Promise.all(runs.map((runId) => engine.until(runId, (run) => run.status === 'waiting')));
  const rows = await engine.rig.system.sql<{ runId: string; generation: number; chain: string; waitId: string }[]>`
    select r.id as "runId", r.generation, r.claimed_by as chain, w.id as "waitId"
    from kos.runs r join kos.waits w on w.run_id = r.id where r.id in ${engine.rig.system.sql(runs)} and w.status = 'open'`;
  expect(rows).toHaveLength(runsInAll);
  return rows.map(({ waitId, ...claim }) => ({ waitId, claim: { workspaceId: engine.workspaceId, ...claim } }));
}

/** As the activities that look at a wait: it is locked, something comes of it, and the run is changed last. */
const lookAtWait = ({ claim, waitId }: Waiting, { locked, then }: { locked: () => void; then: (sql: TransactionSql) => Promise<void> }): Promise<void> =>
  engine.rig.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    await lockWait(sql, waitId);
    locked();
    await sleep(inTheMidstMs);
    await then(sql);
  });

/** What came of the person's act and of the worker's, in every run: null, or what was thrown. */
async function meet(waits: Waiting[], act: (runId: string) => Promise<void>, work: (waiting: Waiting, sql: TransactionSql) => Promise<void>) {
  const ends: { person: unknown; worker: unknown }[] = [];
  const thrownBy = (done: Promise<void>): Promise<unknown> =>
    done.then(
      () => null,
      (thrown: unknown) => thrown,
    );
  for (let from = 0; from < waits.length; from += atATime) {
    const group = waits.slice(from, from + atATime).map(async (waiting) => {
      const locked = Promise.withResolvers<void>();
      const worker = thrownBy(lookAtWait(waiting, { locked: locked.resolve, then: (sql) => work(waiting, sql) }));
      await locked.promise;
      const person = await thrownBy(act(waiting.claim.runId));
      return { person, worker: await worker };
    });
    ends.push(...(await Promise.all(group)));
  }
  return ends;
}

const inEach = (end: object) => Array.from({ length: runsInAll }, () => end);
const statusesOf = async (waits: Waiting[]) => new Set((await Promise.all(waits.map(({ claim }) => engine.ended(claim.runId)))).map(({ status }) => status));

describe('a step that is ended by hand in the moment its wait is looked at', () => {
  it.each(['skip', 'override'] as const)('%s, and the timer has come due: the worker was first', async (action) => {
    const waits = await startWaiting(`plan: due-${action}\nsteps:\n  hold: { wait: { forMs: 3600000 } }\n`);
    const ends = await meet(
      waits,
      (runId) => (action === 'skip' ? skip(runId, 'hold') : override(runId, 'hold', { until: null })),
      async ({ claim, waitId }, sql) => {
        const step = await takeStep(sql, claim, { path: 'hold', step: 0, item: null, kind: 'wait' });
        if (!step.taken) throw new Error(`The step of ${claim.runId} has ended.`);
        await markWorking(sql, claim, await readHeader(sql, claim));
        await closeWait(sql, waitId, 'settled');
        await endStep(sql, claim, step, { status: 'succeeded', output: { until: null }, error: null, costMicros: 0, metadata: {} });
      },
    );
    expect(ends).toEqual(inEach({ person: expect.objectContaining({ code: 'step_ended', status: 409 }), worker: null }));
    await Promise.all(waits.map(({ claim }) => engine.cancel(claim.runId)));
    await statusesOf(waits);
  });

  it('and a check is recorded: both stand', async () => {
    const waits = await startWaiting(`
plan: due-check
steps:
  arrived: { wait: { check: { tool: test.repeat, with: { file: "${engine.home}/due", waitMs: 0 } }, until: "\${check.output.at < 0}", everyMs: 600000, expiresInMs: 3600000 } }
`);
    const ends = await meet(
      waits,
      (runId) => skip(runId, 'arrived'),
      ({ claim, waitId }, sql) => recordLook(sql, claim, { stepPath: 'arrived', waitId, failed: null, inMs: 600_000 }, 'test.repeat'),
    );
    expect(ends).toEqual(inEach({ person: null, worker: null }));
    expect(await statusesOf(waits)).toEqual(new Set(['succeeded']));
  });

  it('and the approval that covers it is looked at: both stand', async () => {
    const waits = await startWaiting(`
plan: due-approval
steps:
  ask: { approval: { for: [send] } }
  send: { transform: 1 }
`);
    const ends = await meet(
      waits,
      (runId) => skip(runId, 'send'),
      async ({ claim }, sql) => {
        await sql`update kos.runs set waiting_for = waiting_for || '{"text": "asked"}'::jsonb where id = ${claim.runId}`;
      },
    );
    expect(ends).toEqual(inEach({ person: null, worker: null }));
    expect(await statusesOf(waits)).toEqual(new Set(['succeeded']));
  });
});
