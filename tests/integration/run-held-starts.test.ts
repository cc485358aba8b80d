import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Transaction } from '#services/database/connect.ts';
import { reconcile } from '#services/duties/reconciler.ts';
import { explainRun } from '#services/runs/explain.ts';
import { holdStarts, readStarts, releaseStarts, type Starts } from '#services/runs/held-starts.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const change = () => ({ workspaceId: engine.workspaceId, actor: 'prn_test' });
const within = <Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> => engine.rig.database.inWorkspace(engine.workspaceId, work);
const hold = (reason: string): Promise<void> => within((transaction) => holdStarts(transaction, change(), reason));
const release = (): Promise<void> => within((transaction) => releaseStarts(transaction, change()));
const starts = (): Promise<Starts> => within(readStarts);

describe('a workspace whose starts are held', () => {
  it('lets what runs finish, with the runs that its steps start, and starts the others in their order when it is released', async () => {
    await engine.save('plan: below\nsteps:\n  one: { transform: 1 }\n');
    const slow = await engine.start(
      await engine.save('plan: above\nsteps:\n  rest: { tool: test.rest, with: { waitMs: 1500 } }\n  child: { plan: below, needs: [rest] }\n'),
    );
    await engine.untilStep(slow, 'rest', 'running');
    await hold('the shop is being moved');
    await hold('another reason');
    const plan = await engine.save('plan: quick\nsteps:\n  one: { transform: 1 }\n');
    const held: string[] = [];
    for (let run = 0; run < 5; run += 1) held.push(await engine.start(plan));
    expect(await engine.ended(slow)).toMatchObject({ status: 'succeeded' });
    await expect.poll(async () => (await engine.read(held[4] ?? '')).waitingFor?.kind).toBe('paused');
    expect(await starts()).toMatchObject({
      hold: { by: 'prn_test', reason: 'the shop is being moved' },
      waiting: 5,
      next: held.map((runId) => ({ runId, plan: 'quick' })),
    });
    expect(await engine.rig.system.sql`select 1 from kos.runs where id in ${engine.rig.system.sql(held)} and status <> 'queued'`).toHaveLength(0);
    await release();
    for (const runId of held) expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded' });
    expect(await starts()).toEqual({ hold: null, waiting: 0, next: [] });
    const told = await engine.rig.system.sql<{ action: string }[]>`select action from kos.audit_entries where action like 'starts.%' order by at, id`;
    expect(told.map(({ action }) => action)).toEqual(['starts.hold', 'starts.release']);
  });

  it('says of each held run who holds it, and lets it be cancelled at once', async () => {
    await hold('not now');
    const runId = await engine.start(await engine.save('plan: never\nsteps:\n  one: { transform: 1 }\n'));
    await expect.poll(async () => (await engine.read(runId)).waitingFor?.text).toContain('not now');
    const reasons = await within((transaction) => explainRun(engine.workflows, transaction, runId));
    expect(JSON.stringify(reasons)).toContain('kai resume --all');
    await engine.cancel(runId, 'no longer wanted');
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test before it started: no longer wanted' },
    });
    await release();
  });

  it('ends a held run by its deadline', async () => {
    await hold('not now');
    const runId = await engine.start(
      await engine.save('plan: late\nsteps:\n  one: { transform: 1 }\n'),
      {},
      { deadlineAt: new Date(Date.now() + 1_500).toISOString() },
    );
    await expect.poll(async () => (await engine.read(runId)).waitingFor?.kind).toBe('paused');
    await sleep(1_600);
    await reconcile({ system: engine.rig.system, workflows: engine.workflows, log: engine.log });
    expect(await engine.read(runId)).toMatchObject({
      status: 'failed',
      startedAt: null,
      error: {
        code: 'run_timeout',
        message: expect.stringMatching(/^The run had not started when its deadline passed\. No new run of the workspace starts: held by .*not now/),
      },
    });
    await release();
  });
});
