import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reconcile } from '#services/duties/reconciler.ts';
import { makeWindowWorkflowId } from '#workflows/ids.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
let connection: Connection;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
  connection = await Connection.connect({ address: engine.address });
});
afterAll(async () => {
  await engine.close();
  await connection.close();
});

const countByStatus = async (runId: string): Promise<Record<string, number>> => {
  const rows = await engine.rig.system.sql<{ status: string; count: number }[]>`
    select status, count(*)::int as count from kos.steps where run_id = ${runId} and item is not null group by status`;
  return Object.fromEntries(rows.map((row) => [row.status, row.count]));
};

const ended = async (runId: string): Promise<number> => (await countByStatus(runId)).succeeded ?? 0;

/** Executions of the run's own workflow, and of its windows. */
async function executionsOf(runId: string): Promise<{ run: number; windows: number; longest: number }> {
  const client = new Client({ connection, namespace: engine.namespace });
  const count = { run: 0, windows: 0, longest: 0 };
  for await (const execution of client.workflow.list({ query: `WorkflowId = '${runId}' OR WorkflowId STARTS_WITH '${runId}.'` })) {
    if (execution.workflowId === runId) count.run += 1;
    else count.windows += 1;
    count.longest = Math.max(count.longest, execution.historyLength ?? 0);
  }
  return count;
}

/** One file for each item: a second writing of the same item would fail. */
const traces = (name: string, concurrency: number): string => `
plan: ${name}
input: { type: object, properties: { count: { type: integer } } }
steps:
  write: { tool: fs.create, with: { path: "\${run.id}/\${index}.txt", content: "trace \${index}" }, forEach: "\${range(input.count)}", concurrency: ${concurrency} }
output: "\${size(steps.write.output)}"
`;

const filesOf = (runId: string): Promise<string[]> => readdir(join(engine.home, 'workspace', runId));

describe('a forEach', () => {
  it('of nothing gives nothing', async () => {
    expect(await engine.run('plan: none\nsteps:\n  each: { transform: "${item}", forEach: [] }\noutput: "${steps.each.output}"\n')).toMatchObject({
      status: 'succeeded',
      output: [],
    });
  });

  it('keeps the order of its items, and gives null where a failure is tolerated', async () => {
    const run = await engine.run(`
plan: tolerant
steps:
  each: { transform: "\${10 / item}", forEach: [1, 0, 5], onError: continue, retry: { maxAttempts: 1 } }
output: "\${steps.each.output}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: [10, null, 2] });
    expect((await engine.steps(run.id)).map(({ path, status }) => [path, status])).toEqual([
      ['each', 'succeeded'],
      ['each[0]', 'succeeded'],
      ['each[1]', 'failed'],
      ['each[2]', 'succeeded'],
    ]);
  });

  it('fails by its first item that fails, and starts no more', async () => {
    const run = await engine.run(`
plan: failing-item
steps:
  each: { transform: "\${10 / (item - 2)}", forEach: "\${range(50)}", concurrency: 1, retry: { maxAttempts: 1 } }
`);
    expect(run).toMatchObject({ status: 'failed', error: { stepPath: 'each[2]' } });
    expect(await countByStatus(run.id)).toEqual({ succeeded: 2, failed: 1, cancelled: 47 });
  });

  it('beside a step that fails ends with it', async () => {
    const run = await engine.run(`
plan: beside-a-failure
steps:
  each: { tool: test.rest, with: { waitMs: 50 }, forEach: "\${range(40)}", concurrency: 2 }
  bad: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 } }
`);
    expect(run).toMatchObject({ status: 'failed', error: { stepPath: 'bad' } });
  });

  it('over something else than a list says so', async () => {
    const run = await engine.run(
      'plan: not-a-list\ninput: { type: object, properties: { what: {} } }\nsteps:\n  each: { transform: "${item}", forEach: "${input.what}" }\n',
      { what: 'text' },
    );
    expect(run).toMatchObject({ status: 'failed', error: { code: 'for_each_not_a_list' } });
  });

  it('of 400 items goes on in a new execution after 250, with nothing lost or doubled', async () => {
    const runId = await engine.start(await engine.save(traces('long-list', 40)), { count: 400 });
    expect(await engine.ended(runId)).toMatchObject({ error: null, output: 400 });
    expect(await filesOf(runId)).toHaveLength(400);
    expect((await executionsOf(runId)).run).toBe(2);
  });
});

describe('a forEach in windows', () => {
  it('goes on after its worker was stopped in between, each effect once', async () => {
    const count = proofSize(620, 1_200);
    const runId = await engine.start(await engine.save(traces('windows', 60)), { count });
    await expect.poll(() => ended(runId), { timeout: 240_000 }).toBeGreaterThan(count / 4);
    await engine.stopWorker();
    const before = await ended(runId);
    expect(before).toBeLessThan(count);
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ error: null, output: count });
    expect(await filesOf(runId)).toHaveLength(count);
    expect(await readFile(join(engine.home, 'workspace', runId, '7.txt'), 'utf8')).toBe('trace 7');
    const { run, windows, longest } = await executionsOf(runId);
    expect(run).toBe(1);
    expect(windows).toBeGreaterThanOrEqual(Math.ceil(count / 500));
    expect(longest).toBeLessThan(10_000);
  });

  it('is cancelled in their midst: what runs ends, the rest never starts', async () => {
    const source = `
plan: cancelled-windows
steps:
  each: { tool: test.rest, with: { waitMs: "\${index < 20 ? 1 : 60000}" }, forEach: "\${range(1500)}", concurrency: 30 }
`;
    const runId = await engine.start(await engine.save(source));
    await expect.poll(() => ended(runId), { timeout: 240_000 }).toBeGreaterThanOrEqual(20);
    const askedAt = performance.now();
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    expect(performance.now() - askedAt).toBeLessThan(20_000);
    expect(await countByStatus(runId)).toEqual({ succeeded: 20, cancelled: 1_480 });
    await expect.poll(async () => (await engine.workflows.openWindows(runId)).length).toBe(0);
  });

  it('with an item that fails lets no other window start more', async () => {
    const source = `
plan: failing-window
steps:
  each: { tool: test.rest, with: { waitMs: "\${20 + 0 / (index - 520)}" }, forEach: "\${range(5000)}", concurrency: 16, retry: { maxAttempts: 1 } }
`;
    const runId = await engine.start(await engine.save(source));
    const run = await engine.ended(runId);
    expect(run).toMatchObject({ status: 'failed', error: { stepPath: 'each[520]' } });
    expect((await countByStatus(runId)).cancelled).toBeGreaterThan(2_000);
  });

  it('whose window was terminated outside kOS opens another for what is left', async () => {
    const source = `
plan: lost-window
steps:
  each: { tool: test.rest, with: { waitMs: 30 }, forEach: "\${range(600)}", concurrency: 30 }
output: "\${size(steps.each.output)}"
`;
    const runId = await engine.start(await engine.save(source));
    await expect.poll(() => ended(runId), { timeout: 240_000 }).toBeGreaterThan(60);
    const [window] = await engine.workflows.openWindows(runId);
    const workflowId = makeWindowWorkflowId(runId, 1, window?.step ?? 0, window?.from ?? 0);
    await engine.workflows.terminate(workflowId, 'by hand');
    await expect.poll(async () => (await engine.workflows.describe(workflowId))?.status).toBe('terminated');
    await reconcile({ system: engine.rig.system, workflows: engine.workflows, log: engine.log });
    expect(await engine.ended(runId)).toMatchObject({ error: null, output: 600 });
  });
});
