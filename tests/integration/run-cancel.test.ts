import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { orderResume, reconcile } from '#services/duties/reconciler.ts';
import { cancelSignalName, decisionSignalName, windowEndedSignalName } from '#workflows/messages.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
let stranger: Client;
let connection: Connection;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
  connection = await Connection.connect({ address: engine.address });
  // A client of Temporal without the installation's key: what it sends is not sealed.
  stranger = new Client({ connection, namespace: engine.namespace });
});
afterAll(async () => {
  await engine.close();
  await connection.close();
});

const waiting = `
plan: waiting-long
steps:
  pause: { wait: { forMs: 600000 } }
  after: { transform: "done", needs: [pause] }
output: "\${steps.after.output}"
`;

describe('a cancel', () => {
  it('of a run that no worker has taken up ends it when one does', async () => {
    await engine.stopWorker();
    const runId = await engine.start(await engine.save('plan: queued\nsteps:\n  only: { transform: 1 }\n'));
    await engine.cancel(runId);
    await sleep(300);
    expect((await engine.read(runId)).status).toBe('queued');
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled', output: null });
  });

  it('stops a tool that listens to nothing', async () => {
    const file = join(engine.home, 'hung.txt');
    const source = `plan: hung\nsteps:\n  hang: { tool: test.hang, with: { file: "${file}" }, timeoutMs: 600000 }\n  after: { transform: 1, needs: [hang] }\n`;
    const runId = await engine.start(await engine.save(source));
    await expect.poll(() => engine.linesOf('hung.txt')).toEqual(['1']);
    const askedAt = performance.now();
    await engine.cancel(runId, 'enough');
    const run = await engine.ended(runId);
    expect(performance.now() - askedAt).toBeLessThan(15_000);
    expect(run).toMatchObject({ status: 'cancelled', error: { message: 'The run was cancelled by prn_test: enough' } });
    expect((await engine.steps(runId)).map(({ path, status }) => [path, status])).toEqual([['hang', 'cancelled']]);
  });

  it('of a run that waits ends it and closes its wait', async () => {
    const runId = await engine.start(await engine.save(waiting));
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    const rows = await engine.rig.system.sql<{ status: string }[]>`select status from kos.waits where run_id = ${runId}`;
    expect(rows.map((row) => row.status)).toEqual(['voided']);
  });

  it("by Temporal's own means is a cancel from outside, and says so", async () => {
    const runId = await engine.start(await engine.save(waiting));
    await engine.until(runId, (run) => run.status === 'waiting');
    await stranger.workflow.getHandle(runId).cancel();
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled', error: { message: expect.stringContaining('outside kOS') } });
  });
});

describe('a client of Temporal without the key', () => {
  it('moves nothing by its Signals, and is on the record', async () => {
    const runId = await engine.start(await engine.save(waiting));
    await engine.until(runId, (run) => run.status === 'waiting');
    const handle = stranger.workflow.getHandle(runId);
    await handle.signal(cancelSignalName);
    await handle.signal(cancelSignalName, { reason: 'forged' });
    await handle.signal(decisionSignalName, { waitId: 'wait_forged', version: 1 });
    await handle.signal(decisionSignalName);
    await handle.signal(windowEndedSignalName);
    await handle.signal('nobodyListens', 'x');
    const refused = () => engine.audit(runId).then((entries) => entries.filter(({ action }) => action === 'message.refused').map(({ data }) => data.message));
    await expect.poll(refused).toHaveLength(3);
    expect(await refused()).toEqual(expect.arrayContaining([decisionSignalName, decisionSignalName, windowEndedSignalName]));
    expect((await engine.read(runId)).status).toBe('waiting');
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
  });

  it('starts nothing: its workflow fails for its payload, and no run is touched', async () => {
    const workflowId = `forged-${Date.now()}`;
    for (const args of [[{ runId: 'run_forged' }], []]) {
      const handle = await stranger.workflow.start('planRun', { taskQueue: engine.taskQueue, workflowId: `${workflowId}-${args.length}`, args });
      await expect.poll(() => handle.describe().then(({ status }) => status.name)).toBe('FAILED');
    }
  });
});

describe('the reconciler', () => {
  const old = (runId: string) => engine.rig.system.sql`update kos.runs set created_at = created_at - interval '1 minute' where id = ${runId}`;
  const round = () => reconcile({ system: engine.rig.system, workflows: engine.workflows, log: engine.log });

  it('closes a run that was terminated behind our back, with the reason', async () => {
    const runId = await engine.start(await engine.save(waiting));
    await engine.until(runId, (run) => run.status === 'waiting');
    await old(runId);
    await stranger.workflow.getHandle(runId).terminate('by hand');
    await expect.poll(async () => (await engine.workflows.describe(runId))?.status).toBe('terminated');
    await round();
    const run = await engine.read(runId);
    expect(run).toMatchObject({
      status: 'terminated',
      waitingFor: null,
      error: { code: 'terminated_outside', message: expect.stringContaining('outside kOS') },
    });
    expect((await engine.steps(runId)).map(({ status }) => status)).toEqual(['cancelled']);
  });

  it('lets nothing of a chain that lost its claim write any more', async () => {
    const runId = await engine.start(await engine.save(waiting.replace('waiting-long', 'superseded').replace('600000', '2000')));
    await engine.until(runId, (run) => run.status === 'waiting');
    const before = await engine.workflows.describe(runId);
    // Another generation takes the run although the first one still runs.
    await engine.rig.system.sql`update kos.runs set generation = generation + 1, claimed_by = null where id = ${runId}`;
    await expect.poll(async () => (await engine.workflows.describe(runId))?.status, { timeout: 240_000 }).toBe('completed');
    expect((await engine.steps(runId)).map(({ status }) => status)).toEqual(['waiting']);
    await engine.rig.system.sql.begin((sql) => orderResume(sql, { id: runId, workspaceId: engine.workspaceId }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'done' });
    expect((await engine.workflows.describe(runId))?.chain).not.toBe(before?.chain);
  });
});
