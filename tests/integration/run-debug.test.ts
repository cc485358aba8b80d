import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { debugRun } from '#services/runs/debug.ts';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const debug = (runId: string, open = true, workspaceId = engine.workspaceId) => debugRun(engine.rig.database, engine.workflows, { workspaceId, runId, open });

const slow = `
plan: slow
input: { type: object, properties: { file: { type: string } } }
steps:
  before: { transform: 1 }
  only: { tool: test.append, with: { file: "\${input.file}", waitMs: 1500 }, needs: [before] }
`;

/** A run whose worker is lost while its step works: the next one takes it up with another attempt. */
async function runThatLostItsWorker(): Promise<string> {
  const plan = await engine.save(slow);
  await engine.stopWorker();
  const doomed = await engine.startWorkerProcess();
  const runId = await engine.start(plan, { file: `${engine.home}/slow-${newId('run')}` });
  await engine.untilStep(runId, 'only', 'running');
  await doomed.kill();
  return runId;
}

describe('what Temporal holds of a run', () => {
  it('is its pending activities with attempts and failures, the pollers, and codes alone for who may not read histories', async () => {
    const runId = await runThatLostItsWorker();
    await expect.poll(async () => (await debug(runId)).executions[0]?.pendingActivities[0]?.attempt, { timeout: 30_000 }).toBe(2);
    const seen = await debug(runId);
    expect(seen).toMatchObject({ runId, state: 'kept', opened: true });
    expect(seen.pollers.activities[0]).toEqual({ identity: expect.stringMatching(/@/), lastSeenAt: expect.any(String) });
    expect(seen.executions).toHaveLength(1);
    expect(seen.executions[0]).toMatchObject({
      workflowId: runId,
      type: 'planRun',
      status: 'running',
      pendingActivities: [
        {
          type: 'executeUnit',
          steps: ['only'],
          attempt: 2,
          lastFailure: [{ code: 'timeout_heartbeat', message: expect.stringMatching(/heartbeat/i) }],
        },
      ],
      callStack: { state: 'unanswered', text: null },
    });
    const withheld = await debug(runId, false);
    expect(withheld.executions[0]?.pendingActivities[0]).toMatchObject({
      steps: ['only'],
      attempt: 2,
      lastWorker: null,
      lastFailure: [{ code: 'timeout_heartbeat', message: null, stackTrace: null }],
    });
    expect([withheld.opened, withheld.executions[0]?.callStack.state, withheld.pollers.activities[0]?.identity]).toEqual([false, 'withheld', null]);
    await engine.startWorker();
    await engine.cancel(runId);
    await engine.ended(runId);
    await expect.poll(async () => (await debug(runId)).executions[0]?.status, { timeout: 30_000 }).not.toBe('running');
    expect((await debug(runId)).executions[0]).toMatchObject({ pendingActivities: [], callStack: { state: 'closed' } });
  });

  it('says where the code of a run waits, and looks into the windows of a large forEach', async () => {
    const plan = await engine.save(`
plan: wide
steps:
  each: { wait: { forMs: 600000 }, forEach: "\${range(600)}", concurrency: 8 }
`);
    const runId = await engine.start(plan);
    await expect.poll(async () => (await debug(runId)).executions.length, { timeout: 60_000 }).toBeGreaterThan(1);
    const { executions } = await debug(runId);
    expect(executions.map(({ type }) => type)).toEqual(['planRun', ...executions.slice(1).map(() => 'forEachWindow')]);
    expect(executions[0]?.callStack).toEqual({ state: 'shown', text: expect.stringContaining('    at ') });
    await engine.cancel(runId);
    await engine.ended(runId);
  });

  it('is the failed workflow tasks, their cause opened', async () => {
    const runId = await engine.start(await engine.save(slow), { file: 'never' }, { startAt: new Date(Date.now() + 3_600_000).toISOString() });
    engine.runIds.splice(engine.runIds.indexOf(runId), 1);
    expect(await debug(runId)).toMatchObject({ state: 'not_started', executions: [] });
    const connection = await Connection.connect({ address: engine.address });
    const { namespace, taskQueue, sealing } = engine;
    const client = new Client({ connection, namespace, dataConverter: createDataConverter({ sealing, namespace, refuse: 'throw' }) });
    await client.workflow.start('notAmongOurs', { taskQueue, workflowId: runId, args: [] });
    await expect.poll(async () => (await debug(runId)).executions[0]?.workflowTaskFailures.length, { timeout: 30_000 }).toBe(1);
    const { workflowTaskFailures, workflowTask } = (await debug(runId)).executions[0]!;
    expect(workflowTaskFailures[0]).toMatchObject({
      cause: 'workflow_worker_unhandled_failure',
      failure: [{ message: expect.stringContaining('notAmongOurs') }],
    });
    expect(workflowTask?.attempt).toBeGreaterThan(1);
    expect((await debug(runId, false)).executions[0]?.workflowTaskFailures[0]?.failure[0]).toMatchObject({ message: null, stackTrace: null });
    await engine.workflows.terminate(runId, 'test');
    await connection.close();
  });

  it('is not there for another workspace', async () => {
    const { id } = await engine.run('plan: short\nsteps:\n  only: { transform: 1 }\n');
    await expect(debug(id, true, newId('workspace'))).rejects.toMatchObject({ code: 'run_not_found' });
  });
});
