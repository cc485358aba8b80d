import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '#schemas/approval.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { listApprovals } from '#services/approvals/read.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { byHand } from '#tests/rig/by-hand.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
const { override, skip } = byHand(() => engine);
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const approvalsOf = async (runId: string): Promise<Approval[]> =>
  (await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => listApprovals(transaction, { status: null, runId, cursor: null, limit: 20 })))
    .items;

async function startAsking(source: string): Promise<{ runId: string; approval: Approval }> {
  const runId = await engine.start(await engine.save(source));
  await engine.until(runId, (run) => run.status === 'waiting');
  const [approval] = await approvalsOf(runId);
  if (approval === undefined) throw new Error(`${runId} asks for nothing.`);
  return { runId, approval };
}

const approve = async ({ id, argumentsDigest }: Approval): Promise<void> => {
  await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    decideApproval(transaction, approverOf(engine.workspaceId), id, { decision: 'approve', argumentsDigest }),
  );
  engine.nudge();
};

const two = (name: string, more = ''): string => `
plan: ${name}
steps:
  ask: { approval: { for: [one, two] } }
  one: { tool: test.append, with: { file: "${engine.home}/${name}" } }
  two: { tool: test.append, with: { file: "${engine.home}/${name}" } }
${more}output: ["\${steps.ask.status}", "\${steps.one.status}", "\${steps.two.status}"]
`;

describe('an approval whose covered steps are ended by hand', () => {
  it('says which are, and is withdrawn with the last of them: the run goes on', async () => {
    const { runId, approval } = await startAsking(two('both-by-hand'));
    expect(approval.endedByHand).toEqual([]);
    await override(runId, 'one', { at: 1 });
    const [still] = await approvalsOf(runId);
    expect(still).toMatchObject({
      status: 'open',
      argumentsDigest: approval.argumentsDigest,
      endedByHand: [{ stepPath: 'one', action: 'override', by: 'prn_test', reason: 'known' }],
    });
    await skip(runId, 'two');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ['skipped', 'succeeded', 'skipped'] });
    const [withdrawn] = await approvalsOf(runId);
    expect(withdrawn).toMatchObject({ status: 'voided', decisions: [] });
    await expect(approve(approval)).rejects.toMatchObject({ code: 'approval_voided' });
    expect((await engine.audit(approval.id)).find(({ action }) => action === 'approval.void')).toMatchObject({
      actor: 'prn_test',
      data: { runId, stepPath: 'ask', reason: 'nothing that it covers is to run any more, since two was ended by hand: not needed' },
    });
    expect(await engine.linesOf('both-by-hand')).toEqual([]);
  });

  it('is withdrawn where the rest needs what was skipped: nobody is asked about what cannot run', async () => {
    const { runId } = await startAsking(`
plan: rest-needs-it
steps:
  ask: { approval: { for: [one, two] } }
  one: { tool: test.append, with: { file: "${engine.home}/rest-needs-it" } }
  two: { tool: test.append, with: { file: "${engine.home}/rest-needs-it" }, needs: [one] }
output: ["\${steps.ask.status}", "\${steps.one.status}", "\${steps.two.status}"]
`);
    await skip(runId, 'one');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ['skipped', 'skipped', 'skipped'] });
    expect((await approvalsOf(runId))[0]).toMatchObject({ status: 'voided', decisions: [] });
    expect(await engine.linesOf('rest-needs-it')).toEqual([]);
  });

  it('lets the rest run when it is approved, and nothing of what was ended', async () => {
    const { runId, approval } = await startAsking(two('one-by-hand'));
    await skip(runId, 'one');
    await approve(approval);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ['succeeded', 'skipped', 'succeeded'] });
    expect(await engine.linesOf('one-by-hand')).toHaveLength(1);
  });

  it('stays open where another step looks at its decision', async () => {
    const { runId, approval } = await startAsking(two('looked-at', '  note: { transform: "${steps.ask.output.approved}" }\n'));
    await skip(runId, 'one');
    await skip(runId, 'two');
    expect((await approvalsOf(runId))[0]).toMatchObject({ status: 'open', endedByHand: [{ stepPath: 'one' }, { stepPath: 'two' }] });
    await approve(approval);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.linesOf('looked-at')).toEqual([]);
  });

  it('is not asked for where all were ended before it opens', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: before-asking
steps:
  bad: { tool: test.fail, with: { times: 99 }, retry: { maxAttempts: 1 } }
  ask: { approval: { for: [one] }, needs: [bad] }
  one: { tool: test.append, with: { file: "${engine.home}/before-asking" } }
output: ["\${steps.ask.status}", "\${steps.one.output.at}"]
`),
    );
    await engine.ended(runId);
    await override(runId, 'bad', { attempt: 1 });
    await override(runId, 'one', { at: 9 });
    await engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: null }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ['skipped', 9] });
    expect(await approvalsOf(runId)).toEqual([]);
    expect(await engine.linesOf('before-asking')).toEqual([]);
  });
});
