import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tellStalledRuns } from '#services/duties/stalled-runs.ts';
import { connectRunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

it('says on its own row that no worker polls, and takes it back when one does', async () => {
  const deserted = connectRunWorkflows({
    address: engine.address,
    namespace: engine.namespace,
    sealing: engine.sealing,
    taskQueue: `deserted-${randomUUID()}`,
  });
  const plan = await engine.save('plan: standing\nsteps:\n  only: { wait: { forMs: 600000 } }\n');
  await engine.stopWorker();
  const runId = await engine.start(plan);
  await tellStalledRuns({ system: engine.rig.system, workflows: deserted });
  expect((await engine.read(runId)).waitingFor?.kind).toBe('worker');
  await engine.startWorker();
  const run = await engine.until(runId, ({ status }) => status === 'waiting');
  expect(run.waitingFor?.kind).toBe('timer');
  await tellStalledRuns({ system: engine.rig.system, workflows: engine.workflows });
  expect((await engine.read(runId)).waitingFor?.kind).toBe('timer');
  await engine.workflows.terminate(runId, 'test');
  await deserted.close();
});
