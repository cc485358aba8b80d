import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { prioritizeRun } from '#services/runs/actions/prioritize.ts';
import { makeWindowWorkflowId } from '#workflows/ids.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
let connection: Connection;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
  connection = await Connection.connect({ address: inject('servers').temporal.address });
});
afterAll(async () => {
  await connection.close();
  await engine.close();
});

/** The priority that each activity of a workflow asked for, by its type, in order; null: it has that of the workflow. */
async function prioritiesOf(workflowId: string): Promise<[string, number | null][]> {
  const { history } = await connection.workflowService.getWorkflowExecutionHistory({ namespace: engine.namespace, execution: { workflowId } });
  return (history?.events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
    scheduled === null || scheduled === undefined
      ? []
      : [[scheduled.activityType?.name ?? '', scheduled.priority?.priorityKey ?? null] as [string, number | null]],
  );
}

async function priorityOfStart(workflowId: string): Promise<number | null> {
  const { workflowExecutionInfo } = await connection.workflowService.describeWorkflowExecution({ namespace: engine.namespace, execution: { workflowId } });
  return workflowExecutionInfo?.priority?.priorityKey ?? null;
}

const below = async (runId: string) => {
  const rows = await engine.rig.system.sql<{ id: string; priority: number; calledFrom: string }[]>`
    select id, priority, called_from as "calledFrom" from kos.runs where root_run_id = ${runId} order by called_from`;
  for (const { id } of rows) if (!engine.runIds.includes(id)) engine.runIds.push(id);
  return rows;
};

describe('another priority of a run under way', () => {
  it('is that of all that it begins from then on, of its windows and of the runs below it', { timeout: 120_000 }, async () => {
    await engine.save('plan: rests\nsteps:\n  rest: { wait: { forMs: 6000 } }\n  after: { tool: test.rest, with: { waitMs: 1 }, needs: [rest] }\n');
    const plan = await engine.save(`
plan: hurried
fuse: none
steps:
  rest: { wait: { forMs: 10000 } }
  early: { plan: rests }
  after: { tool: test.rest, with: { waitMs: 1 }, needs: [rest] }
  late: { plan: rests, needs: [after] }
  each: { tool: test.rest, with: { waitMs: 200 }, forEach: "\${range(520)}", concurrency: 8 }
`);
    const runId = await engine.start(plan);
    await engine.untilStep(runId, 'early', 'waiting');
    await engine.untilStep(runId, 'rest', 'waiting');
    const [started] = await below(runId);
    await engine.untilStep(started?.id ?? '', 'rest', 'waiting');
    await engine.act(runId, (transaction, change) => prioritizeRun(transaction, { ...change, priority: 1 }));
    expect((await below(runId)).map(({ priority }) => priority)).toEqual([1]);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    const [early, late] = await below(runId);
    expect([early, late]).toMatchObject([
      { calledFrom: 'early', priority: 1 },
      { calledFrom: 'late', priority: 1 },
    ]);
    expect(await priorityOfStart(runId)).toBe(3);
    const asked = await prioritiesOf(runId);
    const heard = asked.findIndex(([type]) => type === 'readControl');
    expect(asked.slice(0, heard).every(([, priority]) => priority === null)).toBe(true);
    expect(asked.slice(heard + 1)).toContainEqual(['executeUnit', 1]);
    expect(asked.slice(heard + 1).filter(([type]) => type === 'openWait')).toEqual([['openWait', 1]]);
    expect(await priorityOfStart(early?.id ?? '')).toBe(3);
    expect((await prioritiesOf(early?.id ?? '')).at(-1)).toEqual([expect.any(String), 1]);
    expect(await priorityOfStart(late?.id ?? '')).toBe(1);
    expect((await prioritiesOf(makeWindowWorkflowId(runId, 1, 4, 0))).at(-1)).toEqual(['executeItem', 1]);
    const audit = (await engine.audit(early?.id ?? '')).find(({ action }) => action === 'run.prioritize');
    expect(audit).toMatchObject({ actor: 'prn_test', data: { priority: 1, with: runId } });
  });

  it('stays over the loss of what Temporal holds, and is that of the next start', async () => {
    const runId = await engine.start(
      await engine.save(
        'plan: lost-priority\nfuse: none\nsteps:\n  rest: { wait: { forMs: 2000 } }\n  after: { tool: test.rest, with: { waitMs: 1 }, needs: [rest] }\n',
      ),
    );
    await engine.untilStep(runId, 'rest', 'waiting');
    await engine.act(runId, (transaction, change) => prioritizeRun(transaction, { ...change, priority: 5 }));
    await engine.loseWorkflow(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await priorityOfStart(runId)).toBe(5);
  });
});
