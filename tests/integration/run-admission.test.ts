import { rm } from 'node:fs/promises';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { environment, readConfiguration } from '#config';
import type { Transaction } from '#services/database/connect.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import { startTemporal } from '#services/embedded/temporal-server.ts';
import { readAdmission } from '#services/runs/admission.ts';
import { explainRun } from '#services/runs/explain.ts';
import { changeSettings } from '#services/settings/settings.ts';
import { connectRunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeServersFolder } from '#tests/rig/servers.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ usualBound: 2 });
});
afterAll(() => engine.close());

const within = <Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> => engine.rig.database.inWorkspace(engine.workspaceId, work);

const resting = (waitMs: number) => engine.save(`plan: resting-${waitMs}\nsteps:\n  rest: { tool: test.rest, with: { waitMs: ${waitMs} } }\n`);

/** How many of the runs were at work at the same moment, at most. */
async function mostAtOnce(runIds: string[]): Promise<number> {
  const { sql } = engine.rig.system;
  const [row] = await sql<{ most: number }[]>`
    select max((select count(*) from kos.runs other where other.id in ${sql(runIds)} and other.started_at <= r.started_at and other.finished_at > r.started_at))::int as most
    from kos.runs r where r.id in ${sql(runIds)}`;
  return row?.most ?? 0;
}

describe('runs of a workspace where Temporal is not seen to share out fairly', () => {
  it('are at work two at a time, where two may, the urgent ones first, and say so while they wait', async () => {
    const plan = await resting(600);
    const urgent = await engine.save('plan: urgent\npriority: 1\nsteps:\n  rest: { tool: test.rest, with: { waitMs: 100 } }\n');
    const runIds: string[] = [];
    for (let run = 0; run < 5; run += 1) runIds.push(await engine.start(plan));
    const last = runIds[4] ?? '';
    await expect.poll(async () => (await engine.read(last)).waitingFor?.text).toContain('because Temporal does not share out fairly between workspaces');
    // Those let in are at work once their orders are gone.
    await expect.poll(() => within((transaction) => readAdmission(transaction, 2))).toEqual({ runsAtOnce: 2, because: 'no_fairness', atWork: 2, waiting: 3 });
    const first = await engine.start(urgent);
    const { reasons } = await within((transaction) => explainRun(engine.workflows, transaction, last));
    expect(reasons[0]).toMatchObject({ blockedBy: { kind: 'concurrency' }, command: 'kai settings set runsAtOnce N' });
    const ended = await Promise.all([...runIds, first].map((runId) => engine.ended(runId)));
    expect(ended.map(({ status }) => status)).toEqual(Array(6).fill('succeeded'));
    expect(await mostAtOnce([...runIds, first])).toBe(2);
    const order = ended.toSorted((left, right) => Date.parse(left.startedAt ?? '') - Date.parse(right.startedAt ?? '')).map(({ plan: { name } }) => name);
    expect(order.indexOf('urgent')).toBeLessThan(4);
    expect((await engine.read(last)).waitingFor).toBeNull();
  });

  it('do not take each other’s room while they wait for a person, and let their steps start runs', async () => {
    const parked = await engine.save('plan: parked\nsteps:\n  note: { transform: { text: go } }\n  ask: { approval: { for: [note] } }\n');
    const waiting = [await engine.start(parked), await engine.start(parked), await engine.start(parked)];
    for (const runId of waiting) await engine.untilStep(runId, 'ask', 'waiting');
    await resting(100);
    const above = await engine.save('plan: calls\nsteps:\n  child: { plan: resting-100, with: {} }\n');
    const callers = [await engine.start(above), await engine.start(above)];
    for (const runId of callers) expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded' });
    for (const runId of waiting) await engine.cancel(runId);
    for (const runId of waiting) await engine.ended(runId);
  });

  it('are bounded by what the workspace sets instead; one that waits is cancelled at once', async () => {
    await within((transaction) => changeSettings(transaction, { workspaceId: engine.workspaceId, actor: 'prn_test', version: 0, change: { runsAtOnce: 1 } }));
    const plan = await resting(600);
    const runIds = [await engine.start(plan), await engine.start(plan), await engine.start(plan)];
    const [, second = '', third = ''] = runIds;
    await expect.poll(async () => (await engine.read(third)).waitingFor?.text).toContain('1 (the setting runsAtOnce)');
    await engine.cancel(second, 'not needed');
    expect(await engine.ended(second)).toMatchObject({ status: 'cancelled', startedAt: null });
    expect(await engine.ended(third)).toMatchObject({ status: 'succeeded' });
    expect(await mostAtOnce([runIds[0] ?? '', third])).toBe(1);
  });
});

describe('the proof of Temporal’s order', () => {
  it('sees that our server serves workspaces in turn, and urgent runs first, and leaves nothing behind', async () => {
    expect(await engine.workflows.proveQueueOrder()).toEqual({ fair: true, byPriority: true });
    const connection = await Connection.connect({ address: inject('servers').temporal.address });
    const left = async (): Promise<number> => (await new Client({ connection }).workflow.count("WorkflowType = 'kosOrderProof'")).count;
    await expect.poll(left, { timeout: 60_000 }).toBe(0);
    await connection.close();
  });

  it('sees that a server with its settings as they come does not', async () => {
    const home = await makeServersFolder('kos-tests-unfair-');
    const say = (): void => undefined;
    const binary = await findTemporalBinary({ cache: readConfiguration(environment).cache, environment, say });
    const instead = { 'matching.useNewMatcher': false, 'matching.enableFairness': false };
    const server = await startTemporal({ home, binary, namespace: 'default', onLine: say, say, durable: false, instead });
    const workflows = connectRunWorkflows({ ...server.facts, sealing: createTestPayloadSealing() });
    try {
      expect(await workflows.proveQueueOrder()).toEqual({ fair: false, byPriority: false });
    } finally {
      await workflows.close();
      await server.stop();
      await rm(home, { recursive: true, force: true });
    }
  });
});
