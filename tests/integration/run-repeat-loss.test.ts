import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { resolveStep } from '#services/runs/actions/steps-by-hand.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ worker: false, reconciler: false });
});
afterAll(() => engine.close());

/** One file for each round: a second writing of the same one would fail. */
const traces = (name: string, more = ''): string => `
plan: ${name}
steps:
  write: { tool: fs.create, with: { path: "\${run.id}/\${iteration}.txt", content: "\${'trace'}" }, repeat: { until: "\${iteration == 499}", maxIterations: 10000${more} } }
output: "\${steps.write.status}"
`;

const begun = async (runId: string): Promise<number> => (await engine.steps(runId)).length;
const filesOf = (runId: string): Promise<string[]> => readdir(join(engine.home, 'workspace', runId));

describe('a worker that is killed (SIGKILL) in the midst of rounds', () => {
  it('has others go on behind the last one: every round once, in one attempt', async () => {
    const first = await engine.startWorkerProcess();
    const runId = await engine.start(await engine.save(traces('killed-rounds')));
    for (const reached of [60, 180]) {
      await expect.poll(() => begun(runId), { timeout: 240_000, interval: 10 }).toBeGreaterThan(reached);
      await engine.stopOthers(null);
      await engine.startWorkerProcess();
    }
    expect(first.child.signalCode).toBe('SIGKILL');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', error: null });
    expect(await filesOf(runId)).toHaveLength(500);
    const steps = await engine.steps(runId);
    expect(steps).toHaveLength(501);
    expect(steps.filter(({ attempt, status }) => attempt !== 1 || status !== 'succeeded')).toEqual([]);
    const [events] = await engine.rig.system.sql<{ started: number; succeeded: number }[]>`
      select count(distinct data->>'stepPath') filter (where type = 'step.started')::int as started, count(*) filter (where type = 'step.succeeded')::int as succeeded
      from kos.events where run_id = ${runId}`;
    expect(events).toEqual({ started: 501, succeeded: 501 });
  });

  it('while an idempotent round works: it is asked again under its key; an effectful one is uncertain, and never repeated', async () => {
    await engine.stopOthers(null);
    let worker = await engine.startWorkerProcess();
    const plan = (tool: string): string => `
plan: killed-${tool}
steps:
  only: { tool: test.${tool}, with: { file: "${join(engine.home, tool)}", waitMs: "\${iteration == 1 ? 4000 : 0}" }, repeat: { until: "\${iteration == 2}", maxIterations: 9 } }
`;
    const repeatId = await engine.start(await engine.save(plan('repeat')));
    const appendId = await engine.start(await engine.save(plan('append')));
    await expect.poll(async () => [...(await engine.linesOf('repeat')), ...(await engine.linesOf('append'))], { timeout: 30_000 }).toHaveLength(4);
    await worker.kill();
    worker = await engine.startWorkerProcess();
    expect((await engine.ended(repeatId)).status).toBe('succeeded');
    expect(await engine.linesOf('repeat')).toEqual([0, 1, 1, 2].map((n) => `${repeatId}/only#${n} 1`));
    await engine.untilStep(appendId, 'only', 'uncertain');
    expect(await engine.linesOf('append')).toEqual([0, 1].map((n) => `${appendId}/only#${n}`));
    const round = await engine.act(appendId, (transaction) => readStepFacts(transaction, appendId, 'only#1'));
    const happened = { outcome: 'happened', output: { at: 1 } } as const;
    await engine.act(appendId, (transaction, change) => resolveStep(transaction, { ...change, path: 'only#1', reason: 'seen' }, round, happened));
    expect((await engine.ended(appendId)).status).toBe('succeeded');
    expect(await engine.linesOf('append')).toEqual([0, 1, 2].map((n) => `${appendId}/only#${n}`));
  });
});

describe("the loss of Temporal's store", () => {
  it('in the midst of rounds, and in a pause between two: the run goes on from its rows, every round once', async () => {
    await engine.stopOthers(null);
    await engine.startWorkerProcess();
    const running = await engine.start(await engine.save(traces('lost-rounds')));
    const pausing = await engine.start(await engine.save(traces('lost-pause', ', everyMs: 8000').replace('iteration == 499', 'iteration == 2')));
    await engine.untilStep(pausing, 'write', 'waiting');
    await expect.poll(() => begun(running), { timeout: 240_000, interval: 10 }).toBeGreaterThan(50);
    await Promise.all([engine.loseWorkflow(running), engine.loseWorkflow(pausing)]);
    expect(await engine.ended(running)).toMatchObject({ status: 'succeeded' });
    expect(await engine.ended(pausing)).toMatchObject({ status: 'succeeded' });
    expect(await filesOf(running)).toHaveLength(500);
    expect(await filesOf(pausing)).toHaveLength(3);
    expect((await engine.steps(running)).filter(({ attempt }) => attempt !== 1)).toEqual([]);
    const ends = await engine.rig.system.sql<{ apartMs: number | null }[]>`
      select (extract(epoch from started_at - lag(finished_at) over (order by iteration)) * 1000)::float8 as "apartMs" from kos.steps
      where run_id = ${pausing} and iteration is not null order by iteration`;
    for (const { apartMs } of ends.slice(1)) expect(apartMs).toBeGreaterThan(7_900);
  });
});
