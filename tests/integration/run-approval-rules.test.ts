import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '#schemas/approval.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { removeRule, setRule } from '#services/approvals/rules.ts';
import { describeTool } from '#services/tools/registry.ts';
import { writingTools } from '#services/tools/files/writing.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const inWorkspace: TestEngine['rig']['database']['inWorkspace'] = (...call) => engine.rig.database.inWorkspace(...call);

const approvalOf = (runId: string): Promise<Approval> =>
  inWorkspace(engine.workspaceId, async (transaction) => {
    const [row] = await transaction.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId} order by created_at desc limit 1`;
    return await readApproval(transaction, row?.id ?? 'none');
  });

async function asked(runId: string): Promise<Approval> {
  await engine.until(runId, (run) => run.status === 'waiting');
  return approvalOf(runId);
}

const decideAs = (person: string, { id, argumentsDigest }: Approval, decision: 'approve' | 'deny', more: object = {}): Promise<Approval> =>
  inWorkspace(engine.workspaceId, (transaction) =>
    decideApproval(
      transaction,
      { ...approverOf(engine.workspaceId), principalId: person, responsible: person },
      id,
      { decision, argumentsDigest, ...more },
      {
        listTools: () => writingTools(engine.home).map(describeTool),
        validateJson: async () => [],
      },
    ),
  ).finally(() => engine.nudge());

const gated = (name: string, approval: string): string => `
plan: ${name}
input: { type: object, properties: { text: { type: string, default: hello } } }
steps:
  signOff: { approval: { for: [note]${approval} } }
  note: { tool: fs.write, with: { path: "${name}.txt", content: "\${input.text}" } }
output: { by: "\${steps.signOff.output.by}", approved: "\${steps.signOff.output.approved}", note: "\${steps.note.status}" }
`;

const written = (name: string): Promise<string> => readFile(join(engine.home, 'workspace', `${name}.txt`), 'utf8').catch(() => 'nothing');

const admin = () => ({ ...approverOf(engine.workspaceId), principalId: 'prn_admin', roles: ['admin' as const] });

describe('a rule', () => {
  it('approves the calls it covers in nobody’s presence, says so in the row, and asks people for all others', async () => {
    const tools = writingTools(engine.home).map(describeTool);
    const draft = { tool: 'fs.write', when: 'size(arguments.content) < 20 && arguments.path.startsWith("rul")' };
    await inWorkspace(engine.workspaceId, (transaction) => setRule(transaction, admin(), { name: 'short-notes', version: 0, draft }, tools));
    const plan = await engine.save(gated('ruled', ''));
    const run = await engine.ended(await engine.start(plan, { text: 'short' }));
    expect(run).toMatchObject({ status: 'succeeded', output: { approved: true, by: 'rule:short-notes@1', note: 'succeeded' } });
    expect(await approvalOf(run.id)).toMatchObject({
      status: 'approved',
      decisions: [{ by: 'rule:short-notes@1', rules: [{ name: 'short-notes', version: 1 }] }],
    });
    expect(await written('ruled')).toBe('short');

    const long = await engine.start(plan, { text: 'much too long for that rule' });
    expect((await asked(long)).status).toBe('open');
    const twoPeople = await engine.start(await engine.save(gated('ruled-two', ', required: 2')), { text: 'short' });
    expect((await asked(twoPeople)).status).toBe('open');
    const fourEyes = await engine.start(await engine.save(gated('ruled-eyes', ', fourEyes: true')), { text: 'short' });
    expect((await asked(fourEyes)).status).toBe('open');

    await inWorkspace(engine.workspaceId, (transaction) => removeRule(transaction, admin(), 'short-notes', 1));
    const after = await engine.start(plan, { text: 'short' });
    expect((await asked(after)).status).toBe('open');
    for (const runId of [long, twoPeople, fourEyes, after]) await engine.cancel(runId);
    for (const runId of [long, twoPeople, fourEyes, after]) await engine.ended(runId);
  });

  it('that cannot be evaluated approves nothing, and the request says which', async () => {
    const tools = writingTools(engine.home).map(describeTool);
    const draft = { tool: 'fs.*', when: 'arguments.nothing == 1' };
    await inWorkspace(engine.workspaceId, (transaction) => setRule(transaction, admin(), { name: 'broken', version: 0, draft }, tools));
    const runId = await engine.start(await engine.save(gated('broken-rule', '')));
    const approval = await asked(runId);
    expect(await engine.audit(approval.id)).toMatchObject([{ action: 'approval.request', data: { failedRules: [{ name: 'broken', version: 1 }] } }]);
    await inWorkspace(engine.workspaceId, (transaction) => removeRule(transaction, admin(), 'broken', 1));
    await engine.cancel(runId);
    await engine.ended(runId);
  });
});

describe('an approval', () => {
  it('with other arguments runs with those', async () => {
    const runId = await engine.start(await engine.save(gated('edited', '')));
    const approval = await asked(runId);
    await decideAs('prn_a', approval, 'approve', { arguments: [{ stepPath: 'note', input: { path: 'edited.txt', content: 'by a person' } }] });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { approved: true, by: 'prn_a' } });
    expect(await written('edited')).toBe('by a person');
  });

  it('is escalated at its time, by whoever runs then: others may decide, the run says so', async () => {
    const runId = await engine.start(
      await engine.save(gated('escalated', ', from: "role:owner", escalate: [{ afterMs: 3000, to: "role:approver" }, { afterMs: 4000 }]')),
    );
    const approval = await asked(runId);
    await expect(decideAs('prn_a', approval, 'approve')).rejects.toMatchObject({ code: 'approver_role_missing' });
    // Nothing runs while it becomes due; the row keeps it.
    await engine.stopWorker();
    await engine.rig.system.sql`update kos.approval_escalations set due_at = clock_timestamp() where run_id = ${runId}`;
    await engine.startWorker();
    await engine.until(runId, (run) => run.waitingFor?.text.includes('role:owner, role:approver') === true);
    expect(await approvalOf(runId)).toMatchObject({ from: 'role:owner, role:approver', approvers: ['role:owner', 'role:approver'] });
    await decideAs('prn_a', approval, 'approve');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded' });
    const [told] = await engine.rig.system.sql<
      { count: number }[]
    >`select count(*)::int as count from kos.events where run_id = ${runId} and type = 'approval.escalated'`;
    expect(told?.count).toBeGreaterThanOrEqual(1);
  });

  it('that expires goes on without what it covers where the plan says so, and fails by itself', async () => {
    const onExpiry = await engine.start(await engine.save(gated('lapsed', ', expiresInMs: 1000, onExpiry: continue')));
    expect(await engine.ended(onExpiry)).toMatchObject({ status: 'succeeded', output: { approved: false, by: null, note: 'skipped' } });
    const strict = await engine.start(await engine.save(gated('lapsed-strictly', ', expiresInMs: 1000, onDeny: continue, onExpiry: fail')));
    expect(await engine.ended(strict)).toMatchObject({ status: 'failed', error: { code: 'approval_expired' } });
    expect([await written('lapsed'), await written('lapsed-strictly')]).toEqual(['nothing', 'nothing']);
  });

  it('asked from somebody whom nobody knows fails with who that is, and is not waited for', async () => {
    const run = await engine.ended(await engine.start(await engine.save(gated('unknown-person', ', from: "user:nobody-of-that-name"'))));
    expect(run).toMatchObject({
      status: 'failed',
      error: { code: 'approver_unknown', stepPath: 'signOff', message: expect.stringContaining('nobody-of-that-name') },
    });
  });
});

describe('many rounds', () => {
  const rounds = proofSize(2, 10);

  it('of approval, denial and expiry at once: each ends in one outcome, and the run follows it', async () => {
    const plan = await engine.save(gated('raced', ', expiresInMs: 3000, onDeny: continue'));
    const counts = { approved: 0, denied: 0, expired: 0 };
    for (let round = 0; round < rounds; round += 1) {
      const runIds = await Promise.all(Array.from({ length: 10 }, () => engine.start(plan)));
      const ends = await Promise.all(
        runIds.map(async (runId) => {
          const approval = await asked(runId);
          // Both around the moment when it expires.
          const restMs = Date.parse(approval.expiresAt ?? '') - Date.now();
          await new Promise((resolve) => setTimeout(resolve, Math.max(0, restMs - 20 + Math.random() * 40)));
          const decisions = await Promise.allSettled([decideAs('prn_a', approval, 'approve'), decideAs('prn_b', approval, 'deny')]);
          const run = await engine.ended(runId);
          return { won: decisions.filter(({ status }) => status === 'fulfilled').length, status: (await approvalOf(runId)).status, run, runId };
        }),
      );
      for (const { won, status, run, runId } of ends) {
        expect(['approved', 'denied', 'expired']).toContain(status);
        counts[status as keyof typeof counts] += 1;
        expect(won).toBe(status === 'expired' ? 0 : 1);
        expect(run).toMatchObject({ status: 'succeeded', output: { approved: status === 'approved', note: status === 'approved' ? 'succeeded' : 'skipped' } });
        const events = await engine.rig.system.sql`select 1 from kos.events where run_id = ${runId} and type in ('approval.decided', 'approval.expired')`;
        expect(events).toHaveLength(1);
      }
    }
    expect(counts.approved + counts.denied + counts.expired).toBe(10 * rounds);
    expect(counts.expired).toBeGreaterThan(0);
    expect(counts.approved + counts.denied).toBeGreaterThan(0);
  }, 300_000);

  it('of decisions taken while no worker runs take effect when one comes, each as it was decided', async () => {
    const plan = await engine.save(gated('unattended', ', onDeny: continue'));
    const runIds = await Promise.all(Array.from({ length: 10 * rounds }, () => engine.start(plan)));
    const approvals = await Promise.all(runIds.map((runId) => engine.until(runId, (run) => run.status === 'waiting', 120_000).then(() => approvalOf(runId))));
    await engine.stopWorker();
    await Promise.all(approvals.map((approval, index) => decideAs('prn_a', approval, index % 4 === 0 ? 'deny' : 'approve')));
    await engine.startWorker();
    const runs = await Promise.all(runIds.map((runId) => engine.ended(runId, 180_000)));
    expect(runs.map((run) => (run.output as { approved: boolean }).approved)).toEqual(runIds.map((_, index) => index % 4 !== 0));
  }, 400_000);
});
