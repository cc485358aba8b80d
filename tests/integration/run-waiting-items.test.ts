import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '#schemas/approval.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { listApprovals } from '#services/approvals/read.ts';
import { explainRun } from '#services/runs/explain.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ worker: false, reconciler: false });
});
afterAll(() => engine.close());

const openApprovals = async (runId: string): Promise<Approval[]> => {
  const page = await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    listApprovals(transaction, { status: 'open', runId, cursor: null, limit: 200 }),
  );
  return page.items;
};

const countOpen = async (runId: string): Promise<number> => {
  const [row] = await engine.rig.system.sql<{ count: number }[]>`select count(*)::int as count from kos.waits where run_id = ${runId} and status = 'open'`;
  return row?.count ?? 0;
};

async function decide({ id, argumentsDigest }: Approval, decision: 'approve' | 'deny'): Promise<void> {
  await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    decideApproval(transaction, approverOf(engine.workspaceId), id, { decision, argumentsDigest }),
  );
  engine.nudge();
}

const pathNumber = ({ stepPath }: Approval): number => Number(/\[(\d+)\]/.exec(stepPath)?.[1]);

describe('a forEach over an approval', () => {
  it('opens several at once, each with its own path and message, and goes on after its worker was killed', async () => {
    const first = await engine.startWorkerProcess();
    const runId = await engine.start(
      await engine.save(`
plan: ask-each
steps:
  ask: { approval: { message: "Ship \${item}?", onDeny: continue }, forEach: [ab, cd, ef, gh], concurrency: 3 }
  ship: { transform: "\${item.approved}", forEach: "\${steps.ask.output}" }
output: "\${steps.ship.output}"
`),
    );
    const waiting = await engine.until(runId, (run) => run.status === 'waiting');
    expect(waiting.waitingFor).toMatchObject({ kind: 'approval', text: expect.stringContaining('2 more waits are open') });
    const open = (await openApprovals(runId)).toSorted((one, other) => pathNumber(one) - pathNumber(other));
    expect(open.map(({ stepPath, message }) => [stepPath, message])).toEqual([
      ['ask[0]', 'Ship ab?'],
      ['ask[1]', 'Ship cd?'],
      ['ask[2]', 'Ship ef?'],
    ]);
    const explained = await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => explainRun(engine.workflows, transaction, runId));
    expect(explained.reasons.map(({ stepPath, command }) => [stepPath, command])).toEqual(
      expect.arrayContaining(open.map(({ stepPath, id }) => [stepPath, `kai approval approve ${id}`])),
    );
    await first.kill();
    await decide(open[1] as Approval, 'deny');
    await decide(open[0] as Approval, 'approve');
    const second = await engine.startWorkerProcess();
    await engine.untilStep(runId, 'ask[3]', 'waiting');
    await decide(open[2] as Approval, 'approve');
    await decide((await openApprovals(runId))[0] as Approval, 'approve');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [true, false, true, true] });
    await engine.stopOthers(second);
  });

  it('ends with the first denial: the others are voided', async () => {
    const runId = await engine.start(await engine.save('plan: deny-one\nsteps:\n  ask: { approval: { message: "${index}?" }, forEach: [1, 2, 3] }\n'));
    await expect.poll(() => countOpen(runId), { timeout: 240_000 }).toBe(3);
    const open = await openApprovals(runId);
    await decide(open.find(({ stepPath }) => stepPath === 'ask[1]') as Approval, 'deny');
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { code: 'approval_denied', stepPath: 'ask[1]' } });
    expect(await openApprovals(runId)).toEqual([]);
  });

  it('is cancelled with its run', async () => {
    const runId = await engine.start(await engine.save('plan: cancel-all\nsteps:\n  ask: { approval: { message: "${index}?" }, forEach: [1, 2, 3] }\n'));
    await expect.poll(() => countOpen(runId), { timeout: 240_000 }).toBe(3);
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    expect(await countOpen(runId)).toBe(0);
  });
});

describe('a forEach over a wait', () => {
  it('of a time waits for all at once', async () => {
    const run = await engine.run(
      'plan: naps\nsteps:\n  nap: { wait: { forMs: "${item}" }, forEach: [300, 200, 100, 0], concurrency: 4 }\noutput: "${size(steps.nap.output)}"\n',
    );
    expect(run).toMatchObject({ status: 'succeeded', output: 4 });
  });
});

describe('a forEach over more approvals than a window holds', () => {
  it('has as many open as its concurrency says, across windows, and none is lost with the worker or with the store of Temporal', async () => {
    const atOnce = proofSize(80, 240);
    const runId = await engine.start(
      await engine.save(`
plan: ask-many
steps:
  ask: { approval: { message: "\${item}?" }, forEach: "\${range(520)}", concurrency: ${atOnce} }
output: "\${size(steps.ask.output.filter(one, one.approved))}"
`),
    );
    await expect.poll(() => countOpen(runId), { timeout: 240_000 }).toBe(atOnce);
    await engine.until(runId, (run) => run.status === 'waiting' && run.waitingFor?.text.includes(`${atOnce - 1} more waits are open`) === true);
    const workerBefore = await engine.startWorkerProcess();
    await engine.stopOthers(workerBefore);
    for (const approval of (await openApprovals(runId)).slice(0, 30)) await decide(approval, 'approve');
    await expect.poll(() => engine.steps(runId).then((steps) => steps.filter(({ status }) => status === 'succeeded').length), { timeout: 240_000 }).toBe(30);
    await engine.loseWorkflow(runId);
    for (;;) {
      const open = await openApprovals(runId);
      if (open.length === 0 && (await engine.read(runId)).status === 'succeeded') break;
      for (const approval of open) await decide(approval, 'approve');
      if (open.length === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 520 });
  }, 180_000);
});
