import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { historiesOf } from '#tests/rig/replay.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

interface Asked {
  /** Local activities, by their markers. */
  batches: number;
  /** Activities for single items. */
  single: number;
  workflows: number;
}

async function askedOf(runId: string): Promise<Asked> {
  const asked = { batches: 0, single: 0, workflows: 0 };
  for await (const { history } of historiesOf(engine, [runId])) {
    asked.workflows += 1;
    for (const { markerRecordedEventAttributes: marker, activityTaskScheduledEventAttributes: activity } of history.events ?? []) {
      if ((marker ?? null) !== null) asked.batches += 1;
      if (activity?.activityType?.name === 'executeItem') asked.single += 1;
    }
  }
  return asked;
}

const squares = (name: string, more = ''): string => `
plan: ${name}
input: { type: object, properties: { count: { type: integer } } }
steps:
  each: { transform: "\${item * item}", forEach: "\${range(input.count)}"${more} }
output: "\${steps.each.output}"
`;
const thinking = (name: string, waitMs: number, more = ''): string => `
plan: ${name}
input: { type: object, properties: { count: { type: integer } } }
steps:
  each: { tool: test.think, with: { waitMs: ${waitMs}, value: "\${item}" }, forEach: "\${range(input.count)}"${more} }
output: "\${steps.each.output}"
`;
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const started = async (plan: string, count: number): Promise<string> => engine.start(await engine.save(plan), { count });
const toldOf = (runId: string): Promise<{ path: string; type: string }[]> =>
  engine.rig.system.sql`select data->>'stepPath' as path, type from kos.events where run_id = ${runId} and data->>'stepPath' like 'each[%' order by seq`;

describe('a forEach over what is quick and changes nothing', () => {
  it('is done within the workflow’s tasks: each item with its row, events and audit entry, and no activity', async () => {
    const run = await engine.run(squares('squares'), { count: 300 });
    expect(run).toMatchObject({ status: 'succeeded', output: upTo(300).map((item) => item * item) });
    expect(await askedOf(run.id)).toEqual({ batches: 2, single: 0, workflows: 1 });
    const items = (await engine.steps(run.id)).filter(({ path }) => path !== 'each');
    expect(items.map(({ status, attempt }) => `${status} ${attempt}`)).toEqual(Array(300).fill('succeeded 1'));
    expect((await engine.audit(run.id)).filter(({ action }) => action === 'step.succeeded')).toHaveLength(301);
    await expect
      .poll(() => toldOf(run.id), { timeout: 10_000 })
      .toEqual(upTo(300).flatMap((item) => ['step.started', 'step.succeeded'].map((type) => ({ path: `each[${item}]`, type }))));
  });

  it('of more than 500 is done so in each window', async () => {
    const run = await engine.run(squares('many-squares'), { count: 1_200 });
    expect(run).toMatchObject({ status: 'succeeded', output: upTo(1_200).map((item) => item * item) });
    const { batches, single, workflows } = await askedOf(run.id);
    expect(workflows).toBeGreaterThan(2);
    // On a machine that is busy with other things a batch may find its time up before it has begun.
    expect(batches).toBeGreaterThanOrEqual(workflows - 1);
    expect(single).toBeLessThan(1_200 / 2);
    expect((await engine.steps(run.id)).filter(({ status }) => status === 'succeeded')).toHaveLength(1_201);
  });

  it('gives a failed item its other attempts, each at its time', async () => {
    const notBefore = `notBefore: "\${item % 10 == 3 ? ${Date.now() + 1_500} : 0}"`;
    const run = await engine.run(
      thinking('some-fail-first', 0, ', retry: { maxAttempts: 9, initialDelayMs: 400 }').replace('waitMs: 0,', `waitMs: 0, ${notBefore},`),
      { count: 30 },
    );
    expect(run.error).toBeNull();
    expect(run).toMatchObject({ status: 'succeeded', output: upTo(30) });
    const again = (await engine.steps(run.id)).filter(({ attempt, path }) => path !== 'each' && attempt > 1).map(({ path }) => path);
    expect(again).toEqual(['each[3]', 'each[13]', 'each[23]']);
    const rests = await engine.rig.system.sql<{ path: string; restMs: number }[]>`
      select data->>'stepPath' as path, min(rest)::float8 as "restMs" from (
        select data, type, extract(epoch from at - lag(at) over (partition by data->>'stepPath' order by at, id)) * 1000 as rest from kos.events
        where run_id = ${run.id} and data->>'stepPath' in ('each[3]', 'each[13]', 'each[23]') and type in ('step.retrying', 'step.succeeded')) told
      where rest is not null group by 1 order by 1`;
    expect(rests).toHaveLength(3);
    for (const { restMs } of rests) expect(restMs).toBeGreaterThanOrEqual(399);
  });

  it('keeps what a batch has done when an item takes too long: that one has an activity, and those behind another batch', async () => {
    const run = await engine.run(thinking('one-is-slow', 0).replace('waitMs: 0', 'waitMs: "${item == 40 ? 1500 : 0}"'), { count: 60 });
    expect(run).toMatchObject({ status: 'succeeded', output: upTo(60) });
    expect(await askedOf(run.id)).toEqual({ batches: 2, single: 1, workflows: 1 });
  });

  it('tolerates what the plan tolerates', async () => {
    const retry = 'onItemError: { tolerate: 1 }, retry: { maxAttempts: 2, initialDelayMs: 50 }';
    const run = await engine.run(`
plan: one-fails
steps:
  each: { transform: "\${10 / (item - 3)}", forEach: "\${range(6)}", ${retry} }
output: "\${steps.each.output}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: [-3, -5, -10, null, 10, 5] });
    expect((await engine.steps(run.id)).map(({ path, status, attempt }) => `${path} ${status} ${attempt}`)).toContain('each[3] failed 1');
  });

  it('begins nothing behind an item that fails for good', async () => {
    const run = await engine.run(`
plan: fails-early
steps:
  each: { transform: "\${10 / (item - 3)}", forEach: "\${range(50)}", retry: { maxAttempts: 1 } }
`);
    expect(run).toMatchObject({ status: 'failed', error: { stepPath: 'each[3]' } });
    expect((await engine.steps(run.id)).filter(({ status }) => status === 'succeeded').map(({ path }) => path)).toEqual(['each[0]', 'each[1]', 'each[2]']);
  });

  it('goes on with an activity for each item, several at once, when they are not that quick', async () => {
    const run = await engine.run(thinking('slow-items', 200, ', concurrency: 4'), { count: 12 });
    expect(run).toMatchObject({ status: 'succeeded', output: upTo(12) });
    const { batches, single } = await askedOf(run.id);
    expect(batches).toBe(1);
    expect(single).toBeGreaterThanOrEqual(12 - 5);
  });

  it('whose item takes longer than a task of the workflow should leaves it to an activity', async () => {
    const run = await engine.run(thinking('very-slow-item', 2_500), { count: 1 });
    expect(run).toMatchObject({ status: 'succeeded', output: [0] });
    expect(await askedOf(run.id)).toEqual({ batches: 1, single: 1, workflows: 1 });
  });

  it('has an activity for each item in a plan with fuse: none', async () => {
    const run = await engine.run(squares('shown').replace('input:', 'fuse: none\ninput:'), { count: 5 });
    expect(await askedOf(run.id)).toEqual({ batches: 0, single: 5, workflows: 1 });
  });

  it('shares the workflow’s tasks with other quick steps, one after the other', async () => {
    const run = await engine.run(`
plan: side-by-side
steps:
  squares: { transform: "\${item * item}", forEach: "\${range(120)}" }
  cubes: { transform: "\${item * item * item}", forEach: "\${range(120)}" }
  alone: { transform: 7 }
output: "\${[size(steps.squares.output), size(steps.cubes.output), steps.alone.output]}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: [120, 120, 7] });
  });
});

describe('quick items, interfered with', () => {
  it('are held by a pause in their midst, and go on from there', async () => {
    const runId = await started(thinking('held-items', 20), 60);
    await engine.untilStep(runId, 'each[2]', 'succeeded');
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await sleep(1_000);
    const before = (await engine.steps(runId)).filter(({ status }) => status === 'succeeded').length;
    await sleep(1_000);
    expect((await engine.steps(runId)).filter(({ status }) => status === 'succeeded')).toHaveLength(before);
    expect(before).toBeLessThan(60);
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: upTo(60) });
  });

  it('are cancelled with their run', async () => {
    const runId = await started(thinking('cancelled-items', 100), 200);
    await engine.untilStep(runId, 'each[1]', 'succeeded');
    await engine.cancel(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    expect((await engine.steps(runId)).filter(({ status }) => status === 'succeeded').length).toBeLessThan(200);
  });

  it('are recorded once, however often their worker is killed (SIGKILL)', { timeout: 300_000 }, async () => {
    await engine.stopWorker();
    const plan = await engine.save(squares('killed-items'));
    const ids: string[] = [];
    for (let life = 0; life < proofSize(2, 10); life += 1) {
      for (let run = 0; run < 4; run += 1) ids.push(await engine.start(plan, { count: 700 }));
      const worker = await engine.startWorkerProcess();
      await sleep(200 + 80 * life);
      await worker.kill();
    }
    const last = await engine.startWorkerProcess();
    for (const runId of ids) expect(await engine.ended(runId, 120_000)).toMatchObject({ status: 'succeeded', output: upTo(700).map((item) => item * item) });
    await last.kill();
    for (const runId of ids) {
      const succeeded = (await engine.audit(runId)).filter(({ action }) => action === 'step.succeeded');
      expect(succeeded).toHaveLength(701);
      const [row] = await engine.rig.system.sql<{ told: number }[]>`
        select count(*)::int as told from kos.events where run_id = ${runId} and type = 'step.succeeded'`;
      expect(row).toEqual({ told: 701 });
    }
  });
});
