import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { isFinalRunStatus } from '#schemas/run.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { newId } from '#services/ids.ts';
import { assertValid, savePlan } from '#services/plans/save.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { acceptRun } from '#services/runs/accept.ts';
import { readRun } from '#services/runs/read.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ worker: false });
});
afterAll(() => engine.close());

const runs = proofSize(6, 20);
const itemsEach = 500;
/** Thousands of steps, all of them ready, of which a worker takes 100 at a time, each for 4 s: the others wait in Temporal's queue. Were one of its places free, a run's next activity would go there past the queue. */
const many = `plan: many\ninput: { type: object }\nmaxInFlight: 500\nsteps:\n  each: { tool: test.rest, with: { waitMs: 4000 }, forEach: "\${range(${itemsEach})}", concurrency: 500 }\n`;
const single = 'plan: single\nsteps:\n  only: { transform: 1 }\n';

/** Tasks of activities that wait in Temporal's queue. */
async function backlog(connection: Connection): Promise<number> {
  const request = { namespace: inject('servers').temporal.namespace, taskQueue: { name: engine.taskQueue }, taskQueueType: 2, reportStats: true };
  const { stats } = await connection.workflowService.describeTaskQueue(request);
  return Number(stats?.approximateBacklogCount ?? 0);
}

const queuedAtLeast = proofSize(800, 1_500);

const ended = async (): Promise<number> => {
  const [row] = await engine.rig.system.sql<{ count: number }[]>`select count(*)::int as count from kos.steps where item is not null and status = 'succeeded'`;
  return row?.count ?? 0;
};

describe('one workspace’s thousands of steps', () => {
  it('do not starve another workspace’s one, nor a run of their own workspace that goes first', { timeout: 300_000 }, async () => {
    const plan = await engine.save(many);
    const first = await engine.save('plan: first\npriority: 1\nsteps:\n  only: { transform: 1 }\n');
    const ids: string[] = [];
    for (let run = 0; run < runs; run += 1) ids.push(await engine.start(plan));
    await engine.startWorker();
    const connection = await Connection.connect({ address: inject('servers').temporal.address });
    // From here on, so many tasks of the one workspace are ahead of whatever comes: first come, first served, they would all go first.
    await expect.poll(() => backlog(connection), { timeout: 120_000, interval: 100 }).toBeGreaterThan(queuedAtLeast);
    await connection.close();
    const before = await ended();
    const other = await startElsewhere(single);
    const urgent = await engine.start(first);
    await expect.poll(async () => (await readElsewhere(other)).status, { timeout: 120_000, interval: 20 }).toBe('succeeded');
    const whenOtherEnded = await ended();
    await engine.ended(urgent, 120_000);
    const whenUrgentEnded = await ended();
    console.info(
      `Of ${runs * itemsEach} steps ${before} had ended before, ${whenOtherEnded} when the other workspace's run had, ${whenUrgentEnded} when the urgent one had.`,
    );
    expect(whenOtherEnded - before).toBeLessThan(queuedAtLeast / 2);
    expect(whenUrgentEnded - before).toBeLessThan(queuedAtLeast / 2);
    for (const runId of ids) if (!isFinalRunStatus((await engine.read(runId)).status)) await engine.cancel(runId);
    for (const runId of ids) await engine.ended(runId, 120_000);
  });
});

const elsewhere = newId('workspace');

async function startElsewhere(source: string): Promise<string> {
  const { sql } = engine.rig.system;
  await sql`insert into kos.workspaces (workspace_id, slug, name) values (${elsewhere}, ${elsewhere}, 'Another')`;
  const compiled = assertValid(createPlanCompiler({ tools: [], models: [] })(source, 'yaml'));
  await engine.rig.database.inWorkspace(elsewhere, (transaction) =>
    savePlan(transaction, { workspaceId: elsewhere, actor: 'prn_test', source, plan: compiled }),
  );
  const evaluator = createEvaluator();
  const { runId } = await acceptRun(
    { database: engine.rig.database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate },
    { workspaceId: elsewhere, actor: 'prn_test', responsible: 'prn_test', origin: { kind: 'api', id: null }, request: { plan: compiled.name, input: {} } },
  );
  await evaluator.close();
  engine.runIds.push(runId);
  engine.nudge();
  return runId;
}

const readElsewhere = (runId: string) => engine.rig.database.inWorkspace(elsewhere, (transaction) => readRun(transaction, runId));
