import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '#schemas/approval.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

/** The run's approval, once it is asked for. */
async function askedFor(runId: string): Promise<Approval> {
  await engine.until(runId, (run) => run.status === 'waiting');
  return await engine.rig.database.inWorkspace(engine.workspaceId, async (transaction) => {
    const [row] = await transaction.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId}`;
    if (row === undefined) throw new Error(`${runId} has no approval`);
    return await readApproval(transaction, row.id);
  });
}

const read = (approvalId: string): Promise<Approval> =>
  engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => readApproval(transaction, approvalId));

async function decide(approval: Approval, decision: 'approve' | 'deny', reason?: string): Promise<void> {
  const request = { decision, argumentsDigest: approval.argumentsDigest, ...(reason === undefined ? {} : { reason }) };
  await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => decideApproval(transaction, approverOf(engine.workspaceId), approval.id, request));
  engine.nudge();
}

/** Writes a note that changes with time, so that a second evaluation of its input would show. */
const gated = (name: string, more = ''): string => `
plan: ${name}
input: { type: object, required: [text], properties: { text: { type: string } } }
steps:
  text: { transform: "\${input.text + '!'}" }
  signOff: { approval: { for: [note], message: "Write \${steps.text.output}?"${more} } }
  note: { tool: fs.write, with: { path: "${name}.txt", content: "\${steps.text.output}" } }
output: { approved: "\${steps.signOff.output.approved}", by: "\${steps.signOff.output.by}", note: "\${steps.note.status}" }
`;

const written = (name: string): Promise<string> => readFile(join(engine.home, 'workspace', `${name}.txt`), 'utf8').catch(() => 'nothing');

describe('an approval', () => {
  it('shows what it covers, and lets exactly that run', async () => {
    const runId = await engine.start(await engine.save(gated('granted')), { text: 'hello' });
    const approval = await askedFor(runId);
    expect(approval).toMatchObject({ status: 'open', message: 'Write hello!?', stepPath: 'signOff', from: 'role:approver' });
    expect(approval.arguments).toEqual([{ stepPath: 'note', kind: 'tool', tool: 'fs.write', input: { path: 'granted.txt', content: 'hello!' } }]);
    expect(approval.argumentsDigest).toMatch(/^[0-9a-f]{64}$/);
    expect((await engine.read(runId)).waitingFor).toMatchObject({ kind: 'approval', ref: approval.id });
    // What the expressions of the step read changes after it was shown.
    await engine.rig.system.sql`update kos.steps set output = '"changed"' where run_id = ${runId} and path = 'text'`;
    await decide(approval, 'approve');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { approved: true, by: 'prn_approver', note: 'succeeded' } });
    expect(await written('granted')).toBe('hello!');
  });

  it('that is denied fails the run, and what it covers never runs', async () => {
    const runId = await engine.start(await engine.save(gated('denied')), { text: 'no' });
    await decide(await askedFor(runId), 'deny', 'not today');
    const run = await engine.ended(runId);
    expect(run.error).toMatchObject({ code: 'approval_denied', stepPath: 'signOff', message: expect.stringContaining('not today') });
    expect(await written('denied')).toBe('nothing');
  });

  it('that is denied with onDeny: continue lets the run go on without what it covers', async () => {
    const runId = await engine.start(await engine.save(gated('going-on', ', onDeny: continue')), { text: 'no' });
    await decide(await askedFor(runId), 'deny');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { approved: false, note: 'skipped' } });
    expect(await written('going-on')).toBe('nothing');
  });

  it('expires by the clock of the database', async () => {
    const runId = await engine.start(await engine.save(gated('late', ', expiresInMs: 1000')), { text: 'slow' });
    const approval = await askedFor(runId);
    const run = await engine.ended(runId);
    expect(run.error?.code).toBe('approval_expired');
    expect((await read(approval.id)).status).toBe('expired');
    await expect(decide(approval, 'approve')).rejects.toMatchObject({ code: 'approval_expired' });
  });

  it('is voided when its run is cancelled', async () => {
    const runId = await engine.start(await engine.save(gated('voided')), { text: 'x' });
    const approval = await askedFor(runId);
    await engine.cancel(runId, 'changed my mind');
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled', message: expect.stringContaining('changed my mind') } });
    expect((await read(approval.id)).status).toBe('voided');
    await expect(decide(approval, 'approve')).rejects.toMatchObject({ code: 'approval_voided' });
    expect(await engine.audit(approval.id)).toContainEqual(expect.objectContaining({ action: 'approval.void' }));
  });

  it('skipped by its own "when" lets its steps run unapproved', async () => {
    const run = await engine.run(`
plan: unasked
steps:
  signOff: { approval: { for: [note] }, when: "\${false}" }
  note: { transform: "ran" }
output: "\${steps.note.output}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: 'ran' });
  });

  it.each([
    { name: 'itself', more: ', needs: [off]', reads: '' },
    { name: 'one of the steps that it covers', more: '', reads: ', needs: [off]' },
  ])('skipped because a step that $name needs was skipped lets nothing run', async ({ more, reads }) => {
    const run = await engine.run(`
plan: skipped-with-a-need
steps:
  off: { transform: 1, when: "\${false}" }
  signOff: { approval: { for: [note, other], message: "Now?" }${more} }
  note: { transform: "ran" }
  other: { transform: "ran"${reads} }
output: { signOff: "\${steps.signOff.status}", note: "\${steps.note.status}", other: "\${steps.other.status}" }
`);
    expect(run).toMatchObject({ status: 'succeeded', output: { signOff: 'skipped', note: 'skipped', other: 'skipped' } });
    const [row] = await engine.rig.system.sql`select metadata->>'reason' as reason from kos.steps where run_id = ${run.id} and path = 'note'`;
    expect(row).toEqual({ reason: 'the approval that covers it was skipped, since a step that it needs was' });
  });

  it.each([
    { name: 'has a fallback that was not called', first: 'transform: 1, onError: { step: second }', note: 'transform: "${steps.first.output}"', ran: 1 },
    {
      name: 'was skipped, which its own "when" looks at',
      first: 'transform: 1, when: "${false}"',
      note: `transform: ran, when: "\${steps.first.status == 'skipped'}"`,
      ran: 'ran',
    },
  ])('is asked for where a need of what it covers $name', async ({ first, note, ran }) => {
    const plan = await engine.save(`
plan: asked-all-the-same
steps:
  first: { ${first} }
  second: { transform: 2 }
  signOff: { approval: { for: [note] } }
  note: { ${note} }
output: "\${steps.note.output}"
`);
    const runId = await engine.start(plan, {});
    const approval = await askedFor(runId);
    expect(approval.arguments).toMatchObject([{ stepPath: 'note', input: ran }]);
    await decide(approval, 'approve');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ran });
  });

  it('decided while no worker runs is found when one does', async () => {
    const runId = await engine.start(await engine.save(gated('away')), { text: 'hi' });
    const approval = await askedFor(runId);
    await engine.stopWorker();
    await decide(approval, 'approve');
    await sleep(500);
    expect((await engine.read(runId)).status).toBe('waiting');
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { approved: true } });
  });

  it('whose arguments were changed behind its digest is refused, each of many', { timeout: 300_000 }, async () => {
    await engine.stopWorker();
    await engine.startWorker();
    const plan = await engine.save(gated('tampered'));
    const runIds: string[] = [];
    for (let index = 0; index < proofSize(10, 200); index += 1) runIds.push(await engine.start(plan, { text: 'good' }));
    const asked: Approval[] = [];
    for (const runId of runIds) asked.push(await askedFor(runId));
    const change = (from: string, to: string) =>
      engine.rig.system
        .sql`update kos.approvals set arguments = replace(arguments::text, ${from}, ${to})::json where run_id in ${engine.rig.system.sql(runIds)}`;
    await change('good', 'evil');
    for (const approval of asked) await expect(decide(approval, 'approve')).rejects.toMatchObject({ code: 'approval_tampered' });
    await change('evil', 'good');
    await engine.stopWorker();
    for (const approval of asked) await decide(approval, 'approve');
    await change('good', 'evil');
    await engine.startWorker();
    for (const runId of runIds) {
      expect(await engine.ended(runId, 120_000)).toMatchObject({ status: 'failed', error: { code: 'approval_tampered', stepPath: 'note' } });
    }
    expect(await written('tampered')).toBe('nothing');
  });

  it('beside another: the run says that it waits until both are decided', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: two-approvals
steps:
  one: { approval: { message: "one?" } }
  two: { approval: { message: "two?" } }
  after: { transform: "\${steps.one.output.approved && steps.two.output.approved}" }
output: "\${steps.after.output}"
`),
    );
    await engine.untilStep(runId, 'one', 'waiting');
    await engine.untilStep(runId, 'two', 'waiting');
    const rows = await engine.rig.system.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId} order by step_path`;
    await decide(await read(rows[0]?.id ?? ''), 'approve');
    await engine.untilStep(runId, 'one', 'succeeded');
    const waiting = await engine.until(runId, (run) => run.status === 'waiting' && run.waitingFor?.ref === rows[1]?.id);
    expect(waiting.waitingFor?.text).toContain('two');
    await decide(await read(rows[1]?.id ?? ''), 'approve');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: true });
  });
});
