import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim } from '#core/engine/claim.ts';
import { newId } from '#services/ids.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import { markWorking, readHeader } from './header.ts';
import { insertItems } from './items.ts';
import { type DoneStep, recordPureSteps } from './record-pure-steps.ts';
import { takeStep } from './take-step.ts';

const workspaceId = newId('workspace');
const place = { path: 'double', step: 0, item: null, kind: 'transform' as const };
let rig: TestDatabase;

beforeAll(async () => {
  rig = await makeTestDatabase();
});
afterAll(async () => await rig.remove());

/** A run that works under a claim, and when it began. */
async function startRun(): Promise<{ claim: Claim; runStartedAt: Date }> {
  return await rig.database.inWorkspace(workspaceId, async (transaction) => {
    const runId = await insertRun(transaction, { workspaceId });
    const claim = { runId, workspaceId, generation: 1, chain: newId('run') };
    return { claim, runStartedAt: await markWorking(transaction.sql, claim, await readHeader(transaction.sql, claim)) };
  });
}

const done = (place: DoneStep['place'], output: DoneStep['output'] = { value: 4 }): DoneStep => {
  const endedAt = performance.now();
  return { place, output, metadata: { tool: 'none' }, begunAt: endedAt - 12, endedAt };
};

const record = (claim: Claim, runStartedAt: Date, where: DoneStep['place'] = place): Promise<boolean> =>
  rig.database.inWorkspace(
    workspaceId,
    async ({ sql, commit }) => (await recordPureSteps(sql, claim, [done(where)], { runStartedAt, parent: null }, commit)) === 1,
  );

const stepsOf = ({ runId }: Claim) =>
  rig.database.inWorkspace(
    workspaceId,
    ({ sql }) => sql<{ path: string; status: string; attempt: number; fence: number; output: unknown }[]>`
      select path, status, attempt, fence, output from kos.steps where run_id = ${runId} order by step, item nulls first`,
  );

const eventsOf = async ({ runId }: Claim): Promise<string[]> => {
  const rows = await rig.system.sql<{ type: string }[]>`select type from kos.events where run_id = ${runId} and type like 'step.%' order by inserted`;
  return rows.map(({ type }) => type);
};

const auditOf = async ({ runId }: Claim): Promise<string[]> => {
  const rows = await rig.system.sql<{ action: string }[]>`select action from kos.audit_entries where subject = ${runId} and action like 'step.%'`;
  return rows.map(({ action }) => action);
};

describe('a pure step', () => {
  it('is recorded from its take to its end: row with fence, events in order, audit entry', async () => {
    const { claim, runStartedAt } = await startRun();
    expect(await record(claim, runStartedAt)).toBe(true);
    expect(await stepsOf(claim)).toEqual([{ path: 'double', status: 'succeeded', attempt: 1, fence: 2, output: { value: 4 } }]);
    expect(await eventsOf(claim)).toEqual(['step.started', 'step.succeeded']);
    expect(await auditOf(claim)).toEqual(['step.succeeded']);
  });

  it('that is an item ends the row that waits for it', async () => {
    const { claim, runStartedAt } = await startRun();
    await rig.database.inWorkspace(workspaceId, ({ sql }) => insertItems(sql, claim, { path: 'double', step: 0, kind: 'transform' }, [1, 2]));
    expect(await record(claim, runStartedAt, { ...place, path: 'double[1]', item: 1 })).toBe(true);
    expect((await stepsOf(claim)).map(({ status, fence }) => ({ status, fence }))).toEqual([
      { status: 'pending', fence: 0 },
      { status: 'succeeded', fence: 2 },
    ]);
  });

  it('is recorded once, of twenty that try at once', async () => {
    const { claim, runStartedAt } = await startRun();
    const recorded = await Promise.all(Array.from({ length: 20 }, () => record(claim, runStartedAt)));
    expect(recorded.filter(Boolean)).toHaveLength(1);
    expect(await eventsOf(claim)).toEqual(['step.started', 'step.succeeded']);
  });

  it.each<[string, (claim: Claim, runStartedAt: Date) => Promise<boolean>]>([
    [
      'was taken by somebody',
      async (claim, runStartedAt) => {
        await rig.database.inWorkspace(workspaceId, ({ sql }) => takeStep(sql, claim, place));
        return await record(claim, runStartedAt);
      },
    ],
    ['belongs to another chain', (claim, runStartedAt) => record({ ...claim, chain: 'another' }, runStartedAt)],
    ['belongs to another generation', (claim, runStartedAt) => record({ ...claim, generation: 2 }, runStartedAt)],
    ['was evaluated for another start of the run', (claim) => record(claim, new Date(0))],
    [
      'belongs to a run that is to be cancelled',
      async (claim, runStartedAt) => {
        await rig.system.sql`update kos.runs set cancel_requested_at = now() where id = ${claim.runId}`;
        return await record(claim, runStartedAt);
      },
    ],
    [
      'belongs to a run that has ended',
      async (claim, runStartedAt) => {
        await rig.system.sql`update kos.runs set status = 'terminated' where id = ${claim.runId}`;
        return await record(claim, runStartedAt);
      },
    ],
  ])('that %s is not recorded, and nothing is told', async (_, tryToRecord) => {
    const { claim, runStartedAt } = await startRun();
    expect(await tryToRecord(claim, runStartedAt)).toBe(false);
    expect((await stepsOf(claim)).filter(({ status }) => status === 'succeeded')).toEqual([]);
    expect(await eventsOf(claim)).toEqual([]);
    expect(await auditOf(claim)).toEqual([]);
  });
});

describe('pure steps together', () => {
  const placeAt = (step: number): DoneStep['place'] => ({ path: `s${step}`, step, item: null, kind: 'transform' });

  it('are recorded in their order, each with its own row, events, audit entry and times', async () => {
    const { claim, runStartedAt } = await startRun();
    const steps = Array.from({ length: 50 }, (_, step) => done(placeAt(step), { nth: step, 'b\u0000': 1, a: 2 }));
    const count = await rig.database.inWorkspace(workspaceId, ({ sql }) => recordPureSteps(sql, claim, steps, { runStartedAt, parent: null }, undefined));
    expect(count).toBe(50);
    const rows = await stepsOf(claim);
    expect(rows.map(({ path, status, fence }) => ({ path, status, fence }))).toEqual(
      steps.map(({ place: { path } }) => ({ path, status: 'succeeded', fence: 2 })),
    );
    expect(rows.map(({ output }) => JSON.stringify(output))).toEqual(steps.map(({ output }) => JSON.stringify(output)));
    const told = await rig.system.sql<{ type: string; path: string }[]>`
      select type, data->>'stepPath' as path from kos.events where run_id = ${claim.runId} and type like 'step.%' order by inserted`;
    expect(told.map(({ type, path }) => `${path} ${type}`)).toEqual(steps.flatMap(({ place: { path } }) => [`${path} step.started`, `${path} step.succeeded`]));
    expect(await auditOf(claim)).toHaveLength(50);
    const [times] = await rig.database.inWorkspace(
      workspaceId,
      ({ sql }) =>
        sql<
          { inOrder: boolean }[]
        >`select bool_and(started_at < finished_at and finished_at <= clock_timestamp()) as "inOrder" from kos.steps where run_id = ${claim.runId}`,
    );
    expect(times?.inOrder).toBe(true);
  });

  it('of which one was taken by somebody: says that not all were recorded', async () => {
    const { claim, runStartedAt } = await startRun();
    await rig.database.inWorkspace(workspaceId, ({ sql }) => takeStep(sql, claim, placeAt(1)));
    const steps = [0, 1, 2].map((step) => done(placeAt(step)));
    const count = await rig.database.inWorkspace(workspaceId, ({ sql }) => recordPureSteps(sql, claim, steps, { runStartedAt, parent: null }, undefined));
    expect(count).toBe(2);
  });
});
