import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import type { Approval } from '#schemas/approval.ts';
import type { Run } from '#schemas/run.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { listApprovals } from '#services/approvals/read.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { explainRun } from '#services/runs/explain.ts';
import { listRuns } from '#services/runs/read.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
});
afterAll(() => engine.close());

const childrenOf = async (runId: string): Promise<Run[]> => {
  const page = await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    listRuns(transaction, { statuses: null, plan: null, parent: runId, labels: {}, cursor: null, limit: 200 }),
  );
  for (const { id } of page.items) if (!engine.runIds.includes(id)) engine.runIds.push(id);
  return page.items;
};

const openApprovals = async (runId: string): Promise<Approval[]> => {
  const page = await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    listApprovals(transaction, { status: 'open', runId, cursor: null, limit: 200 }),
  );
  return page.items;
};

async function approve({ id, argumentsDigest }: Approval): Promise<void> {
  await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    decideApproval(transaction, approverOf(engine.workspaceId), id, { decision: 'approve', argumentsDigest }),
  );
  engine.nudge();
}

const faultsOf = async (source: string): Promise<string[]> => {
  try {
    await engine.save(source);
    return [];
  } catch (error) {
    if (error instanceof KosError) return error.details.map(({ message, line, column }) => `${line}:${column} ${message}`);
    throw error;
  }
};

const double = `
plan: double
input: { type: object, required: [n], properties: { n: { type: integer }, more: { type: integer, default: 0 } } }
steps:
  twice: { transform: "\${input.n * 2 + input.more}" }
output: "\${steps.twice.output}"
`;

describe('a plan that runs another', () => {
  it('has its output, in a run of its own that says whose it is', async () => {
    await engine.save(double);
    const runId = await engine.start(
      await engine.save(`
plan: calls-double
steps:
  four: { plan: double, with: { n: 2 } }
  each: { plan: double@1, with: { n: "\${item}", more: 1 }, forEach: [1, 2, 3] }
output: { four: "\${steps.four.output}", each: "\${steps.each.output}" }
`),
    );
    const run = await engine.ended(runId);
    expect(run).toMatchObject({ error: null, output: { four: 4, each: [3, 5, 7] } });
    const children = await childrenOf(runId);
    expect(children.map(({ calledFrom, status }) => `${calledFrom} ${status}`).toSorted()).toEqual([
      'each[0] succeeded',
      'each[1] succeeded',
      'each[2] succeeded',
      'four succeeded',
    ]);
    expect(children[0]).toMatchObject({
      parentRunId: runId,
      startedBy: run.startedBy,
      responsible: run.responsible,
      origin: run.origin,
      plan: { name: 'double', version: 1 },
    });
    const [four] = await engine.steps(runId);
    expect(four?.metadata).toMatchObject({ plan: 'double@1', runId: children.find(({ calledFrom }) => calledFrom === 'four')?.id });
  });

  it('is refused when it does not fit the other, with line and column', async () => {
    await engine.save(double);
    expect(await faultsOf('plan: x\nsteps:\n  a: { plan: doubel }\n')).toEqual([expect.stringMatching(/^3:14 there is no plan "doubel"/)]);
    expect(await faultsOf('plan: x\nsteps:\n  a: { plan: double }\n')).toEqual([expect.stringMatching(/^3:.* double: .*"n"/)]);
    expect(await faultsOf('plan: x\nsteps:\n  a: { plan: double, with: { n: text } }\n')).toEqual([expect.stringMatching(/^3:.* double: /)]);
    expect(await faultsOf('plan: double\nsteps:\n  a: { plan: double }\n')).toContainEqual(expect.stringContaining('double → double'));
  });

  it('may not be run by those it runs, and the path is told', async () => {
    await engine.save('plan: ring-a\nsteps:\n  one: { transform: 1 }\n');
    await engine.save('plan: ring-b\nsteps:\n  one: { plan: ring-a }\n');
    expect(await faultsOf('plan: ring-a\nsteps:\n  one: { plan: ring-b }\n')).toEqual([expect.stringContaining('ring-a → ring-b → ring-a')]);
  });

  it('runs the version that was the newest when it was accepted, to its end', async () => {
    await engine.save('plan: pinned-child\nsteps:\n  one: { transform: old }\noutput: "${steps.one.output}"\n');
    const runId = await engine.start(
      await engine.save(
        'plan: pins\nsteps:\n  wait: { wait: { forMs: 1500 } }\n  child: { plan: pinned-child, needs: [wait] }\noutput: "${steps.child.output}"\n',
      ),
    );
    await engine.save('plan: pinned-child\nsteps:\n  one: { transform: new }\noutput: "${steps.one.output}"\n');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'old' });
    await childrenOf(runId);
  });

  it('fails with the other, names it, and starts another as often as the step says', async () => {
    await engine.save('plan: fails\nsteps:\n  bad: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 } }\n');
    const run = await engine.run('plan: calls-failing\nsteps:\n  child: { plan: fails, retry: { maxAttempts: 2, initialDelayMs: 50 } }\n');
    const children = await childrenOf(run.id);
    expect(children.map(({ status }) => status)).toEqual(['failed', 'failed']);
    expect(run).toMatchObject({
      status: 'failed',
      error: { code: 'sub_run_failed', stepPath: 'child', message: expect.stringContaining('told_to_fail, at bad') },
    });
    expect(children.map(({ id }) => id)).toContain(/run_[0-9a-f-]+/.exec(run.error?.message ?? '')?.[0]);
    expect(run.error?.fix).toMatch(/^kai run get run_/);
  });

  it('says for which run it waits, and passes its cancel on', async () => {
    await engine.save('plan: waits-long\nsteps:\n  only: { wait: { forMs: 600000 } }\n');
    const runId = await engine.start(
      await engine.save('plan: calls-waiting\nsteps:\n  child: { plan: waits-long }\n  each: { plan: waits-long, forEach: [1, 2] }\n'),
    );
    await expect.poll(async () => (await childrenOf(runId)).filter(({ status }) => status === 'waiting').length, { timeout: 20_000 }).toBe(3);
    const waiting = await engine.until(runId, (run) => run.status === 'waiting');
    expect(waiting.waitingFor).toMatchObject({ kind: 'run', ref: expect.stringMatching(/^run_/) });
    const explained = await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => explainRun(engine.workflows, transaction, runId));
    expect(explained.reasons.find(({ stepPath }) => stepPath === 'child')).toMatchObject({
      blockedBy: { kind: 'run' },
      command: expect.stringMatching(/^kai run why run_/),
    });
    await engine.cancel(runId, 'no longer wanted');
    expect((await engine.ended(runId)).status).toBe('cancelled');
    for (const child of await childrenOf(runId))
      expect(await engine.ended(child.id)).toMatchObject({
        status: 'cancelled',
        error: { message: expect.stringContaining(`the run that started it, ${runId}, has ended`) },
      });
  });
});

describe('approvals of sub-plans in loops', () => {
  it('are listed with the whole path, and all goes on when the worker is killed and the store of Temporal is lost', async () => {
    await engine.save(
      'plan: asks\ninput: { type: object, properties: { what: { type: string } } }\nsteps:\n  ask: { approval: { message: "Shall ${input.what}?" } }\noutput: "${steps.ask.output.approved}"\n',
    );
    await engine.save(
      'plan: middle\ninput: { type: object, properties: { what: { type: string } } }\nsteps:\n  inner: { plan: asks, with: { what: "${input.what}" }, forEach: [1] }\noutput: "${steps.inner.output[0]}"\n',
    );
    const runId = await engine.start(
      await engine.save('plan: outer\nsteps:\n  each: { plan: middle, with: { what: "${item}" }, forEach: [a, b] }\noutput: "${steps.each.output}"\n'),
    );
    await expect
      .poll(async () => (await openApprovals(runId)).map(({ path }) => path).toSorted(), { timeout: 30_000 })
      .toEqual(['each[0]/inner[0]/ask', 'each[1]/inner[0]/ask']);
    const worker = await engine.startWorkerProcess();
    await engine.stopWorker();
    await worker.kill();
    const [first, second] = await openApprovals(runId);
    await approve(first as Approval);
    const middles = await childrenOf(runId);
    await engine.startWorker();
    await expect.poll(async () => (await openApprovals(runId)).length, { timeout: 30_000 }).toBe(1);
    // A run that has ended starts no other workflow: only those that still wait are lost.
    const waiting = middles.filter(({ calledFrom }) => calledFrom !== null && second?.path.startsWith(calledFrom));
    expect(waiting.length).toBe(1);
    for (const { id } of [{ id: runId }, ...waiting]) await engine.loseWorkflow(id);
    await approve(second as Approval);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [true, true] });
    for (const middle of middles) await childrenOf(middle.id);
  }, 120_000);
});

describe('a plan that runs in rounds', () => {
  it('is another run each time, which sees what came of the one before', async () => {
    await engine.save(double);
    const run = await engine.run(`
plan: doubles
steps:
  grow: { plan: double, with: { n: "\${last == null ? 1 : last}" }, repeat: { until: "\${output > 20}", maxIterations: 9, everyMs: 50 } }
  each: { plan: double, with: { n: "\${item}", more: "\${iteration}" }, forEach: [1, 2], repeat: { while: "\${iteration < 1}", maxIterations: 9 } }
output: { grow: "\${steps.grow.output}", each: "\${steps.each.output}" }
`);
    expect(run).toMatchObject({ error: null, output: { grow: 32, each: [3, 5] } });
    const children = await childrenOf(run.id);
    expect(children.map(({ calledFrom, status }) => `${calledFrom} ${status}`).toSorted()).toEqual(
      ['each[0]#0', 'each[0]#1', 'each[1]#0', 'each[1]#1', ...[0, 1, 2, 3, 4].map((n) => `grow#${n}`)].map((path) => `${path} succeeded`),
    );
    expect((await engine.steps(run.id)).filter(({ status }) => status !== 'succeeded')).toEqual([]);
  });

  it('fails by the run that failed, is tried again where it says so, and goes on behind it when it is retried', async () => {
    await engine.save(
      "plan: fails-at\ninput: { type: object, properties: { n: { type: integer }, at: { type: integer } } }\nsteps:\n  only: { tool: json.parse, with: { text: \"${input.n == input.at ? 'no' : '1'}\" } }\n",
    );
    const source = (more: string): string => `
plan: fails
steps:
  loop: { plan: fails-at, with: { n: "\${iteration}", at: 1 }, repeat: { until: "\${iteration == 2}", maxIterations: 9 }${more} }
output: "\${steps.loop.status}"
`;
    const failed = await engine.run(source(''));
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'sub_run_failed', stepPath: 'loop#1' } });
    expect(await engine.run(source(', onError: continue'))).toMatchObject({ status: 'succeeded', output: 'failed' });
    const again = await engine.run(source(', retry: { maxAttempts: 2, initialDelayMs: 20 }'));
    expect(again.status).toBe('failed');
    expect((await childrenOf(again.id)).map(({ calledFrom }) => String(calledFrom)).toSorted()).toEqual(['loop#0', 'loop#1', 'loop#1']);
    await engine.act(failed.id, (transaction, change) => retryRun(transaction, { ...change, reason: null }));
    expect((await engine.until(failed.id, ({ status, finishedAt }) => status === 'failed' && finishedAt !== failed.finishedAt)).error?.stepPath).toBe('loop#1');
    expect((await childrenOf(failed.id)).map(({ calledFrom }) => String(calledFrom)).toSorted()).toEqual(['loop#0', 'loop#1']);
  });

  it('goes on after the loss of what Temporal holds, and is cancelled with the run of its round', async () => {
    await engine.save('plan: slow\nsteps:\n  only: { wait: { forMs: 2500 } }\n');
    const runId = await engine.start(
      await engine.save('plan: slowly\nsteps:\n  loop: { plan: slow, repeat: { until: "${iteration == 2}", maxIterations: 9, everyMs: 3000 } }\n'),
    );
    await engine.untilStep(runId, 'loop#0', 'waiting');
    const why = await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));
    expect(why.reasons.find(({ stepPath }) => stepPath === 'loop')).toMatchObject({ blockedBy: { kind: 'run' } });
    await engine.loseWorkflow(runId);
    await engine.untilStep(runId, 'loop#0', 'succeeded');
    await engine.loseWorkflow(runId);
    await engine.untilStep(runId, 'loop#1', 'waiting');
    expect(await childrenOf(runId)).toHaveLength(2);
    await engine.cancel(runId);
    await engine.ended(runId);
    await expect.poll(async () => (await childrenOf(runId)).map(({ status }) => status).toSorted(), { timeout: 30_000 }).toEqual(['cancelled', 'succeeded']);
    expect((await engine.steps(runId)).map(({ path, status }) => `${path} ${status}`).toSorted()).toEqual([
      'loop cancelled',
      'loop#0 succeeded',
      'loop#1 cancelled',
    ]);
  });

  it('fails where the run of a round cannot be started', async () => {
    await engine.save(double);
    const run = await engine.run(
      'plan: unfit\nsteps:\n  odd: { transform: [1, x, 2] }\n  loop: { plan: double, with: { n: "${steps.odd.output[iteration]}" }, repeat: { until: "${iteration == 2}", maxIterations: 9 } }\n',
    );
    expect(run).toMatchObject({ status: 'failed' });
    expect((await engine.statusesOf(run.id)).map((row) => row.join(' ')).toSorted()).toEqual([
      'loop failed',
      'loop#0 succeeded',
      'loop#1 failed',
      'odd succeeded',
    ]);
    await childrenOf(run.id);
  });
});
