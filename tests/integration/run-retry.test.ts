import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { retryRun } from '#services/runs/actions/retry.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const retry = (runId: string) => engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: 'mended' }));

describe('a retry', () => {
  it('leaves items alone whose failure the plan tolerates', async () => {
    const missing = join(engine.home, 'workspace', 'after-items.txt');
    const runId = await engine.start(
      await engine.save(`
plan: tolerated-items
steps:
  each: { tool: test.fail, with: { times: 9 }, forEach: "\${[1, 2, 3]}", onItemError: { tolerate: 1 }, onError: continue, retry: { maxAttempts: 1 } }
  read: { tool: fs.read, with: { path: "${missing}" }, needs: [each], retry: { maxAttempts: 1 } }
`),
    );
    expect((await engine.ended(runId)).status).toBe('failed');
    const items = async () => (await engine.steps(runId)).filter(({ path }) => path.startsWith('each'));
    const before = await items();
    expect(before.some(({ status }) => status === 'failed')).toBe(true);
    await writeFile(missing, 'here');
    await retry(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await items()).toEqual(before);
  });

  it('does the items again that a cancel cut off, where all the others had ended', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: cancelled-items
steps:
  each: { tool: test.rest, with: { waitMs: "\${item}" }, forEach: [1, 4000] }
output: "\${steps.each.output.map(one, one.at > 0)}"
`),
    );
    const items = async () => (await engine.steps(runId)).map(({ path, status }) => `${path} ${status}`).toSorted();
    await expect.poll(items, { timeout: 20_000 }).toContain('each[0] succeeded');
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    expect(await items()).toEqual(['each cancelled', 'each[0] succeeded', 'each[1] cancelled']);
    await retry(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [true, true] });
  });

  it('does an item again that was cut off in a run that was failing, and could still join its items', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: cut-off-while-failing
steps:
  each: { tool: test.rest, with: { waitMs: "\${item}" }, forEach: [1, 3000] }
output: "\${steps.each.output.map(one, one.at > 0)}"
`),
    );
    await expect
      .poll(async () => (await engine.steps(runId)).map(({ path, status }) => `${path} ${status}`), { timeout: 20_000 })
      .toContain('each[0] succeeded');
    // As a worker leaves it that reads of the cancel before the workflow hears of it.
    await engine.rig.system.sql`update kos.steps set status = 'cancelled', output = null where run_id = ${runId} and path = 'each[0]'`;
    expect((await engine.ended(runId)).status).toBe('cancelled');
    expect((await engine.steps(runId)).map(({ path, status }) => `${path} ${status}`).toSorted()).toEqual([
      'each cancelled',
      'each[0] cancelled',
      'each[1] succeeded',
    ]);
    await retry(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [true, true] });
  });

  it('runs what failed and what did not run, under the same keys, and nothing else', async () => {
    const missing = join(engine.home, 'workspace', 'late.txt');
    const source = `
plan: retried
steps:
  before: { tool: test.append, with: { file: "${join(engine.home, 'retried')}" } }
  read: { tool: fs.read, with: { path: "${missing}" }, needs: [before], retry: { maxAttempts: 1 } }
  after: { tool: test.append, with: { file: "${join(engine.home, 'retried')}" }, needs: [read] }
output: "\${steps.read.output.content}"
`;
    const runId = await engine.start(await engine.save(source));
    const failed = await engine.ended(runId);
    expect(failed).toMatchObject({ status: 'failed', error: { stepPath: 'read' } });
    await writeFile(missing, 'here');
    await retry(runId);
    const run = await engine.ended(runId);
    expect(run).toMatchObject({ status: 'succeeded', output: 'here', error: null });
    expect(await engine.linesOf('retried')).toEqual([`${runId}/before`, `${runId}/after`]);
    expect((await engine.steps(runId)).find(({ path }) => path === 'read')).toMatchObject({ attempt: 1, metadata: { attemptsBefore: 1 } });
    const [row] = await engine.rig.system.sql<{ generation: number }[]>`select generation from kos.runs where id = ${runId}`;
    expect(row?.generation).toBe(2);
    expect((await engine.audit(runId)).find(({ action }) => action === 'run.retry')).toMatchObject({
      data: { reason: 'mended', ended: 'failed', again: ['read'] },
    });
    await expect(retry(runId)).rejects.toMatchObject({ code: 'run_succeeded', status: 409 });
    await rm(missing);
  });

  it('again and again, the moment the run has failed, starts each time', async () => {
    const runId = await engine.start(await engine.save('plan: failing\nsteps:\n  bad: { tool: test.fail, with: { times: 99 }, retry: { maxAttempts: 1 } }\n'));
    for (let round = 1; round <= 8; round += 1) {
      expect((await engine.ended(runId)).status).toBe('failed');
      await retry(runId);
    }
    await engine.ended(runId);
    expect((await engine.steps(runId))[0]).toMatchObject({ attempt: 1, metadata: { attemptsBefore: 8 } });
  });

  it('goes on with the items that failed', async () => {
    const source = `
plan: retried-items
steps:
  each: { tool: test.fail, with: { times: "\${item}" }, forEach: "\${[0, 1, 0, 0]}", retry: { maxAttempts: 1 } }
  after: { transform: "\${size(steps.each.output)}" }
output: "\${steps.after.output}"
`;
    const runId = await engine.start(await engine.save(source));
    expect((await engine.ended(runId)).status).toBe('failed');
    await engine.rig.system.sql`update kos.steps set input = '0' where run_id = ${runId} and path = 'each[1]'`;
    await retry(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 4 });
    expect((await engine.steps(runId)).map(({ path, metadata }) => [path, metadata['attemptsBefore'] ?? 0])).toContainEqual(['each[0]', 0]);
  });

  it('leaves items alone whose failure is tolerated, with their errors, and keeps a deadline that is still to come', async () => {
    const missing = join(engine.home, 'workspace', 'tolerated.txt');
    const plan = await engine.save(`
plan: tolerated-items
steps:
  each: { tool: test.fail, with: { times: 9 }, forEach: [1, 2, 3], retry: { maxAttempts: 1 }, onItemError: { tolerate: 1 }, onError: continue }
  read: { tool: fs.read, with: { path: "${missing}" }, needs: [each], retry: { maxAttempts: 1 } }
`);
    const deadlineAt = new Date(Date.now() + 3_600_000).toISOString();
    const runId = await engine.start(plan, {}, { deadlineAt });
    expect((await engine.ended(runId)).error).toMatchObject({ stepPath: 'read' });
    const items = async () =>
      (await engine.steps(runId)).filter(({ path }) => path.startsWith('each')).map(({ path, status, attempt, error }) => [path, status, attempt, error?.code]);
    const before = await items();
    await writeFile(missing, 'here');
    await retry(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', deadlineAt });
    expect(await items()).toEqual(before);
    await rm(missing);
  });

  it('waits for its start again, and keeps the deadline, where it was cancelled before both', async () => {
    const plan = await engine.save('plan: put-off\ntimeoutMs: 600000\nsteps:\n  only: { transform: 1 }\n');
    const startAt = new Date(Date.now() + 6_000).toISOString();
    const deadlineAt = new Date(Date.now() + 60_000).toISOString();
    const runId = await engine.start(plan, {}, { startAt, deadlineAt });
    await engine.cancel(runId);
    await engine.ended(runId);
    await retry(runId);
    expect(await engine.read(runId)).toMatchObject({
      status: 'queued',
      startAt,
      deadlineAt,
      deadlineAskedAt: deadlineAt,
      waitingFor: { kind: 'timer', until: startAt },
    });
    const run = await engine.ended(runId);
    expect(run).toMatchObject({ status: 'succeeded', deadlineAt });
    expect(Date.parse(run.startedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(startAt));
  });

  it('keeps the deadline of a run that its plan bounds, too, and drops one that has passed', async () => {
    const plan = await engine.save(
      'plan: bounded-twice\ntimeoutMs: 600000\nsteps:\n  bad: { tool: test.fail, with: { times: 99 }, retry: { maxAttempts: 1 } }\n',
    );
    const deadlineAt = new Date(Date.now() + 3_600_000).toISOString();
    const runId = await engine.start(plan, {}, { deadlineAt });
    expect((await engine.ended(runId)).deadlineAt).not.toBe(deadlineAt);
    await engine.rig.system.sql`update kos.runs set deadline_asked_at = clock_timestamp() + interval '5 minutes' where id = ${runId}`;
    await retry(runId);
    const again = await engine.ended(runId);
    expect(again.deadlineAt).toBe(again.deadlineAskedAt);
    await engine.rig.system.sql`update kos.runs set deadline_asked_at = clock_timestamp() - interval '1 second' where id = ${runId}`;
    await retry(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { code: 'told_to_fail' } });
  });

  it('asks again for an approval that was denied', async () => {
    const source = `
plan: asked-twice
steps:
  ask: { approval: { for: [write] } }
  write: { artifact: { name: a.txt, content: "x" } }
`;
    const runId = await engine.start(await engine.save(source));
    const decide = async (decision: 'approve' | 'deny') => {
      await engine.until(runId, (run) => run.status === 'waiting');
      const [open] = await engine.rig.system.sql<{ id: string; digest: string }[]>`
        select id, arguments_digest as digest from kos.approvals where run_id = ${runId} and status = 'open'`;
      await engine.act(runId, (transaction) =>
        decideApproval(transaction, approverOf(engine.workspaceId), open?.id ?? '', { decision, argumentsDigest: open?.digest ?? '' }),
      );
    };
    await decide('deny');
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { code: 'approval_denied' } });
    await retry(runId);
    await decide('approve');
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.statusesOf(runId)).toEqual([
      ['ask', 'succeeded'],
      ['write', 'succeeded'],
    ]);
  });

  it('of a run that was terminated in the middle of an effect does not repeat it', async () => {
    const source = (name: string): string =>
      `plan: ${name}\nsteps:\n  pay: { tool: test.append, with: { file: "${join(engine.home, name)}", waitMs: 3000 } }\n`;
    const terminate = (runId: string) => engine.act(runId, (transaction, change) => terminateRun(transaction, { ...change, reason: null }));
    // The worker lives: the next attempt waits for the call that is under way.
    const joined = await engine.start(await engine.save(source('joined')));
    await expect.poll(() => engine.linesOf('joined'), { timeout: 60_000 }).toHaveLength(1);
    await terminate(joined);
    await retry(joined);
    expect((await engine.ended(joined)).status).toBe('succeeded');
    expect(await engine.linesOf('joined')).toHaveLength(1);
    // The worker is gone: nobody can say.
    await engine.stopWorker();
    const doomed = await engine.startWorkerProcess();
    const lost = await engine.start(await engine.save(source('cut-off')));
    await expect.poll(() => engine.linesOf('cut-off'), { timeout: 60_000 }).toHaveLength(1);
    await terminate(lost);
    await doomed.kill();
    await engine.startWorker();
    await retry(lost);
    await engine.untilStep(lost, 'pay', 'uncertain');
    expect(await engine.linesOf('cut-off')).toHaveLength(1);
  });

  it('of a run that was stopped while no worker was there runs it when one is', async () => {
    await engine.stopWorker();
    const runId = await engine.start(await engine.save('plan: stopped-early\nsteps:\n  only: { transform: 1 }\n'));
    await sleep(300);
    await engine.act(runId, (transaction, change) => terminateRun(transaction, { ...change, reason: null }));
    await retry(runId);
    await engine.startWorker();
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });
});
