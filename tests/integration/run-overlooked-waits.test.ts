import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { mendOverlookedWaits } from '#services/duties/overlooked-waits.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { overrideStep } from '#services/runs/actions/steps-by-hand.ts';
import { approverOf } from '#tests/rig/approver.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
let plan: string;
beforeAll(async () => {
  engine = await makeTestEngine();
  plan = await engine.save(`
plan: two-decisions
steps:
  first: { approval: { for: [note] } }
  note: { tool: fs.write, with: { path: "two.txt", content: "noted" } }
  second: { approval: { message: "Really?" }, needs: [note] }
output: "\${steps.second.output.approved}"
`);
});
afterAll(() => engine.close());

/** Approved, and the Signal that tells the workflow of it is lost on its way, so many seconds ago. */
async function approveUnheard(runId: string, stepPath: string, secondsAgo: number): Promise<void> {
  await engine.untilStep(runId, stepPath, 'waiting');
  // What the workflow does just then is let finish.
  await expect
    .poll(async () => {
      const execution = await engine.workflows.describe(runId);
      return (execution?.workflowTaskAttempt ?? 0) + (execution?.activityAttempt ?? 0);
    })
    .toBe(0);
  await engine.rig.database.inWorkspace(engine.workspaceId, async (transaction) => {
    const { sql } = transaction;
    const [row] = await sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId} and step_path = ${stepPath}`;
    const { id, argumentsDigest } = await readApproval(transaction, row?.id ?? '');
    await decideApproval(transaction, approverOf(engine.workspaceId), id, { decision: 'approve', argumentsDigest });
    await sql`delete from kos.outbox where run_id = ${runId}`;
    await sql`update kos.waits set closed_at = clock_timestamp() - make_interval(secs => ${secondsAgo}) where run_id = ${runId} and step_path = ${stepPath}`;
  });
}

const mend = () => mendOverlookedWaits({ system: engine.rig.system, workflows: engine.workflows, log: engine.log });
const generationOf = async (runId: string): Promise<number | undefined> =>
  (await engine.rig.system.sql<{ generation: number }[]>`select generation from kos.runs where id = ${runId}`)[0]?.generation;

describe('a decision that the workflow never heard of', () => {
  it('is left alone while it is young, and told again after a while', async () => {
    const runId = await engine.start(plan);
    await approveUnheard(runId, 'first', 1);
    await mend();
    expect(await engine.rig.system.sql`select id from kos.outbox where run_id = ${runId}`).toEqual([]);
    await engine.rig.system.sql`update kos.waits set closed_at = clock_timestamp() - interval '30 seconds' where run_id = ${runId}`;
    await mend();
    await engine.untilStep(runId, 'second', 'waiting');
    expect(await generationOf(runId)).toBe(1);
    await engine.cancel(runId);
    await engine.ended(runId);
  });

  it('makes the run go on from Postgres when telling it again did not help: once, and with every effect once', async () => {
    const runId = await engine.start(plan);
    await approveUnheard(runId, 'first', 120);
    await Promise.all([mend(), mend()]);
    await engine.untilStep(runId, 'second', 'waiting');
    expect(await generationOf(runId)).toBe(2);
    await approveUnheard(runId, 'second', 120);
    await mend();
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: true });
    expect(await generationOf(runId)).toBe(3);
    expect(await engine.audit(runId)).toContainEqual(
      expect.objectContaining({ action: 'run.resume', data: { because: 'its workflow overlooked a decision' } }),
    );
    const effects = await engine.rig.system.sql`select status from kos.effects where run_id = ${runId}`;
    expect(effects).toEqual([{ status: 'happened' }]);
  });

  it('of a paused run waits until the run is resumed', async () => {
    const runId = await engine.start(plan);
    await engine.untilStep(runId, 'first', 'waiting');
    await engine.rig.system.sql`update kos.runs set paused_at = clock_timestamp(), status = 'paused' where id = ${runId}`;
    await approveUnheard(runId, 'first', 120);
    await mend();
    expect([await generationOf(runId), await engine.rig.system.sql`select id from kos.outbox where run_id = ${runId}`]).toEqual([1, []]);
    await engine.rig.system.sql`update kos.runs set paused_at = null, status = 'waiting' where id = ${runId}`;
    await mend();
    await engine.untilStep(runId, 'second', 'waiting');
    await engine.cancel(runId);
    await engine.ended(runId);
  });
});

describe('a step that a person ended while it waited, of which the workflow never heard', () => {
  const endUnheard = (runId: string, path: string, secondsAgo: number): Promise<void> =>
    engine.act(runId, async (transaction, change) => {
      await overrideStep(transaction, { ...change, path, output: 5, reason: 'known' }, await readStepFacts(transaction, runId, path));
      const { sql } = transaction;
      await sql`delete from kos.outbox where run_id = ${runId}`;
      await sql`update kos.steps set finished_at = clock_timestamp() - make_interval(secs => ${secondsAgo}) where run_id = ${runId} and path = ${path}`;
    });
  const waiting = async (source: string): Promise<string> => {
    const runId = await engine.start(await engine.save(source));
    await engine.until(runId, ({ status }) => status === 'waiting');
    await expect.poll(async () => (await engine.workflows.describe(runId))?.workflowTaskAttempt).toBe(0);
    return runId;
  };

  it('makes the run go on from Postgres, once nothing else is left that could move it', async () => {
    const runId = await waiting(
      'plan: unheard\nsteps:\n  go: { signal: { name: never } }\n  after: { transform: "${steps.go.output}" }\noutput: "${steps.after.output}"\n',
    );
    await endUnheard(runId, 'go', 5);
    await mend();
    expect(await generationOf(runId)).toBe(1);
    await engine.rig.system.sql`update kos.steps set finished_at = clock_timestamp() - interval '2 minutes' where run_id = ${runId}`;
    await Promise.all([mend(), mend()]);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 5 });
    expect(await generationOf(runId)).toBe(2);
  });

  it('leaves a run alone that waits for something else', async () => {
    const runId = await waiting('plan: half-heard\nsteps:\n  go: { signal: { name: never } }\n  other: { signal: { name: other } }\n');
    await endUnheard(runId, 'go', 120);
    await mend();
    expect(await generationOf(runId)).toBe(1);
    await engine.cancel(runId);
    await engine.ended(runId);
  });
});
