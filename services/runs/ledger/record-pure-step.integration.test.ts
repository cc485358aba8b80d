import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim } from '#core/engine/claim.ts';
import { newId } from '#services/ids.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import { markWorking, readHeader } from './header.ts';
import { insertItems } from './items.ts';
import { recordPureStep } from './record-pure-step.ts';
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

const record = (claim: Claim, runStartedAt: Date, where: Parameters<typeof recordPureStep>[2] = place): Promise<boolean> =>
  rig.database.inWorkspace(workspaceId, ({ sql, commit }) =>
    recordPureStep(sql, claim, where, { output: { value: 4 }, metadata: { tool: 'none' }, tookMs: 12, runStartedAt, parent: null }, commit),
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
