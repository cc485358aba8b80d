import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

const hourMs = 3_600_000;

interface Wait {
  status: string;
  lastedMs: number;
}

// The worker is a process whose clock is wrong. Deadlines are the database's, so nothing may come an hour early, or late.
describe.each([
  ['an hour ahead', hourMs],
  ['an hour behind', -hourMs],
])('a worker whose clock is %s', (_words, clockOffsetMs) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await makeTestEngine({ worker: false });
    await engine.startWorkerProcess({ clockOffsetMs });
  });
  afterAll(() => engine.close());

  const waitOf = async (runId: string): Promise<Wait | undefined> => {
    const rows = await engine.rig.system.sql<Wait[]>`
      select status, (extract(epoch from closed_at - opened_at) * 1000)::float8 as "lastedMs" from kos.waits where run_id = ${runId}`;
    return rows[0];
  };

  it('lets a timer ring in its time', async () => {
    const run = await engine.run('plan: timer\nsteps:\n  rest: { wait: { forMs: 1500 } }\n');
    expect(run.status).toBe('succeeded');
    const wait = await waitOf(run.id);
    expect(wait?.lastedMs).toBeGreaterThanOrEqual(1_500);
    expect(wait?.lastedMs).toBeLessThan(hourMs / 2);
  });

  const asking = (name: string, expiresInMs: number): string => `
plan: ${name}
steps:
  ask: { approval: { message: "Go on?", expiresInMs: ${expiresInMs} } }
  after: { transform: 1, needs: [ask] }
`;

  it('leaves an approval open as long as it is said to be', async () => {
    const runId = await engine.start(await engine.save(asking('in-time', 120_000)));
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.rig.database.inWorkspace(engine.workspaceId, async (transaction) => {
      const [row] = await transaction.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId}`;
      const approval = await readApproval(transaction, row?.id ?? '');
      await decideApproval(transaction, approverOf(engine.workspaceId), approval.id, { decision: 'approve', argumentsDigest: approval.argumentsDigest });
    });
    engine.nudge();
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('lets an approval expire in its time', async () => {
    const run = await engine.run(asking('too-late', 1_000));
    expect(run.error?.code).toBe('approval_expired');
    expect((await waitOf(run.id))?.lastedMs).toBeGreaterThanOrEqual(1_000);
  });

  it('ends an attempt, waits before the next, and ends the run by durations', async () => {
    const attempts = await engine.run(
      `plan: attempts\nsteps:\n  hang: { tool: test.hang, with: { file: "${engine.home}/hang" }, timeoutMs: 300, retry: { maxAttempts: 2, initialDelayMs: 400 } }\n`,
    );
    expect(attempts.error?.code).toBe('step_timeout');
    expect(await engine.linesOf('hang')).toEqual(['1', '2']);
    const asked = await engine.run('plan: asked\nsteps:\n  fail: { tool: test.fail, with: { times: 1, retryAfterMs: 700 } }\n');
    expect(asked.status).toBe('succeeded');
    const whole = await engine.run('plan: whole\ntimeoutMs: 700\nsteps:\n  rest: { tool: test.rest, with: { waitMs: 600000 } }\n');
    expect(whole.error?.code).toBe('run_timeout');
  });

  it('keeps its clock out of the record', async () => {
    const run = await engine.run(`
plan: recorded
steps:
  no: { transform: 1, when: "\${false}" }
  needs: { transform: "\${steps.no.output}" }
  pure: { transform: 2 }
  tool: { tool: test.fail, with: { times: 0 } }
  pause: { wait: { forMs: 10 } }
`);
    const [span] = await engine.rig.system.sql<{ off: number }[]>`
      select coalesce(max(abs(extract(epoch from clock_timestamp() - t.at))), 0)::float8 as off from (
        select unnest(array[started_at, finished_at]) as at from kos.steps where run_id = ${run.id}
        union all select at from kos.events where run_id = ${run.id}
        union all select unnest(array[created_at, started_at, finished_at]) from kos.runs where id = ${run.id}) t`;
    expect(span?.off).toBeLessThan(hourMs / 2_000);
  });
});
