import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { explainRun } from '#services/runs/explain.ts';
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

it('a worker that was killed counts no more, though its last poll looks alive to Temporal for a minute', async () => {
  const plan = await engine.save(
    'plan: left\nsteps:\n  only: { tool: test.append, with: { file: "${input.file}", waitMs: 60000 } }\ninput: { type: object, properties: { file: { type: string } } }\n',
  );
  await engine.stopWorker();
  const doomed = await engine.startWorkerProcess();
  const runId = await engine.start(plan, { file: `${engine.home}/left` });
  await engine.untilStep(runId, 'only', 'running');
  const why = () => engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => explainRun(engine.workflows, transaction, runId));
  expect((await why()).reasons.map(({ blockedBy }) => blockedBy.kind)).not.toContain('worker');
  await doomed.kill();
  expect(await engine.workflows.countPollers()).toBeGreaterThan(0);
  await expect.poll(async () => (await why()).reasons.map(({ blockedBy }) => blockedBy.kind), { timeout: 20_000 }).toContain('worker');
  await tellStalledRuns({ system: engine.rig.system, workflows: engine.workflows });
  expect((await engine.read(runId)).waitingFor).toMatchObject({ kind: 'worker' });
  await engine.workflows.terminate(runId, 'test');
});
