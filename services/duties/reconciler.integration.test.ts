import pino from 'pino';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { connectRunWorkflows, type RunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import { startReconciler } from './reconciler.ts';

const log = pino({ level: 'silent' });
const workspaceId = newId('workspace');
let rig: TestDatabase;
let workflows: RunWorkflows;

beforeAll(async () => {
  rig = await makeTestDatabase();
  workflows = connectRunWorkflows({ ...inject('servers').temporal, sealing: createTestPayloadSealing(), taskQueue: `runs-${workspaceId}` });
});
afterAll(async () => {
  await workflows.close();
  await rig.remove();
});

it('runs that Temporal does not know are resumed by themselves, each once, whoever looks', async () => {
  const runIds = await Promise.all(
    Array.from({ length: 12 }, () => rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId, status: 'running' }))),
  );
  await rig.system.sql`update kos.runs set created_at = clock_timestamp() - interval '1 minute'`;
  const reconcilers = Array.from({ length: 3 }, () => startReconciler({ system: rig.system, workflows, log }));
  const orders = () => rig.system.sql<{ runId: string; generation: number }[]>`
    select o.run_id as "runId", r.generation from kos.outbox o join kos.runs r on r.id = o.run_id where o.kind = 'start' order by o.run_id`;
  await expect.poll(async () => (await orders()).length, { timeout: 15_000 }).toBeGreaterThanOrEqual(runIds.length);
  await Promise.all(reconcilers.map((reconciler) => reconciler.stop()));
  expect(await orders()).toEqual(runIds.toSorted().map((runId) => ({ runId, generation: 2 })));
});
