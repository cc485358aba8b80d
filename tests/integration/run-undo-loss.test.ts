import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Resolution, resolveStep } from '#services/runs/actions/steps-by-hand.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { explainRun } from '#services/runs/explain.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ worker: false });
});
afterAll(() => engine.close());

const file = (name: string): string => join(engine.home, name);

const resolve = (runId: string, path: string, resolution: Resolution) =>
  engine.act(runId, async (transaction, change) =>
    resolveStep(transaction, { ...change, path, reason: 'looked' }, await readStepFacts(transaction, runId, path), resolution),
  );

/** Items with an effect each, and then a failure. */
const manyBookings = (name: string, count: number): string => `
plan: ${name}
steps:
  book:
    tool: test.note
    forEach: "\${range(${count})}"
    concurrency: 10
    with: { file: "${file(name)}", text: "\${string(item)}" }
    undo: { tool: fs.create, with: { path: "\${run.id}/\${index}.txt", content: "\${output.id}" } }
  last: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [book] }
`;

const undoneOf = async (runId: string): Promise<number> => {
  const [row] = await engine.rig.system.sql<{ count: number }[]>`
    select count(*)::int as count from kos.steps where run_id = ${runId} and undoes is not null and status = 'succeeded'`;
  return row?.count ?? 0;
};

describe('a run that undoes what it did', () => {
  it('goes on when its worker is killed (SIGKILL), again and again: each effect of an undo once, in the same order', async () => {
    const count = proofSize(40, 120);
    let worker = await engine.startWorkerProcess();
    const runId = await engine.start(await engine.save(manyBookings('killed', count)));
    for (const kills of count === 40 ? [10] : [10, 40, 80]) {
      await expect.poll(() => undoneOf(runId), { timeout: 120_000, interval: 10 }).toBeGreaterThan(kills);
      await worker.kill();
      expect(await undoneOf(runId)).toBeLessThan(count);
      worker = await engine.startWorkerProcess();
    }
    expect(await engine.ended(runId)).toMatchObject({
      status: 'failed',
      error: { message: `It failed as it was told. What ${count} steps had done was undone.` },
    });
    const rows = await engine.rig.system.sql<{ undone: string; status: string; attempt: number }[]>`
      select undoes as undone, status, attempt from kos.steps where run_id = ${runId} and undoes is not null order by finished_at, path`;
    expect(new Set(rows.map(({ undone }) => undone)).size).toBe(count);
    expect(rows.filter(({ status, attempt }) => status !== 'succeeded' || attempt !== 1)).toEqual([]);
    const effects = await engine.rig.system.sql<{ status: string; count: number }[]>`
      select status, count(*)::int as count from kos.effects where run_id = ${runId} and step_path like '%~undo' group by status`;
    expect(effects).toEqual([{ status: 'happened', count }]);
    // Undone in the reverse of the order in which they ended.
    const [order] = await engine.rig.system.sql<{ wrong: number }[]>`
      select count(*)::int as wrong from (
        select s.finished_at as done, lead(s.finished_at) over (order by u.finished_at, u.started_at) as next
        from kos.steps u join kos.steps s on s.run_id = u.run_id and s.path = u.undoes where u.run_id = ${runId} and u.undoes is not null
      ) as undone where next > done`;
    expect(order).toEqual({ wrong: 0 });
  });

  it('goes on from its rows when the workflow itself is lost', async () => {
    await engine.stopOthers(null);
    const worker = await engine.startWorkerProcess();
    const runId = await engine.start(await engine.save(manyBookings('lost', 60)));
    await expect.poll(() => undoneOf(runId), { timeout: 120_000, interval: 10 }).toBeGreaterThan(5);
    await worker.kill();
    const [before] = await engine.rig.system.sql<{ ending: string }[]>`select ending from kos.runs where id = ${runId}`;
    expect(before).toEqual({ ending: 'failed' });
    await engine.loseWorkflow(runId);
    await engine.startWorkerProcess();
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { message: 'It failed as it was told. What 60 steps had done was undone.' } });
  });

  it('waits for a person where an effectful undo was cut off, and never repeats it by itself', async () => {
    await engine.stopOthers(null);
    const worker = await engine.startWorkerProcess();
    const name = 'doubtful';
    const runId = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  first: { tool: test.note, with: { file: "${file('first')}", text: first }, undo: { tool: test.note, with: { file: "${file('first')}", text: undone } } }
  second: { tool: test.note, with: { file: "${file(name)}", text: second }, needs: [first], undo: { tool: test.append, with: { file: "${file('refunds')}", waitMs: 60000 } } }
  last: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [second] }
`),
    );
    await expect.poll(() => engine.linesOf('refunds'), { timeout: 60_000 }).toHaveLength(1);
    await worker.kill();
    await engine.startWorkerProcess();
    const waiting = await engine.until(runId, (run) => run.status === 'waiting');
    expect(waiting).toMatchObject({
      ending: 'failed',
      waitingFor: { kind: 'approval', text: expect.stringContaining(`kai run resolve ${runId} 'second~undo'`) },
    });
    await sleep(500);
    expect(await engine.linesOf('refunds')).toHaveLength(1);
    // What was done before it is undone after it, and not yet.
    expect(await engine.linesOf('first')).toHaveLength(1);
    const { reasons } = await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));
    expect(reasons.at(-1)).toMatchObject({ stepPath: 'second~undo', status: 'uncertain', command: expect.stringContaining('second~undo') });
    await resolve(runId, 'second~undo', { outcome: 'happened', output: { at: 1 } });
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { message: 'It failed as it was told. What 2 steps had done was undone.' } });
    expect(await engine.linesOf('first')).toHaveLength(2);
    expect(await engine.linesOf('refunds')).toHaveLength(1);
  });
});

describe('a step that is uncertain when its run ends', () => {
  /** Its effect was made, and its worker killed before it could say so; then its run is cancelled. */
  async function cancelUncertain(name: string): Promise<string> {
    await engine.stopOthers(null);
    const worker = await engine.startWorkerProcess();
    const runId = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  before: { tool: test.note, with: { file: "${file(`${name}-notes`)}", text: before }, undo: { tool: test.note, with: { file: "${file(`${name}-notes`)}", text: "un-\${output.id}" } } }
  pay: { tool: test.append, needs: [before], with: { file: "${file(name)}", waitMs: 60000 }, undo: { tool: test.note, with: { file: "${file(`${name}-notes`)}", text: "refund \${output.at}" } } }
`),
    );
    await expect.poll(() => engine.linesOf(name), { timeout: 60_000 }).toHaveLength(1);
    await worker.kill();
    await engine.startWorkerProcess();
    await engine.untilStep(runId, 'pay', 'uncertain');
    await engine.cancel(runId, 'enough');
    const run = await engine.until(runId, ({ status, ending }) => status === 'waiting' && ending === 'cancelled');
    expect(run.waitingFor).toMatchObject({ text: expect.stringContaining(`kai run resolve ${runId} 'pay'`) });
    await expect(resolve(runId, 'pay', { outcome: 'retry' })).rejects.toMatchObject({ status: 409 });
    return runId;
  }

  it('is not undone blindly: when a person says that it happened, it is', async () => {
    const runId = await cancelUncertain('happened');
    await resolve(runId, 'pay', { outcome: 'happened', output: { at: 7 } });
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: enough. What 2 steps had done was undone.' },
    });
    expect((await engine.linesOf('happened-notes')).map((line) => line.replace(`${runId}/`, ''))).toEqual([
      'before before',
      'pay~undo refund 7',
      'before~undo un-before!',
    ]);
  });

  it('that did not happen is passed over', async () => {
    const runId = await cancelUncertain('did-not');
    await resolve(runId, 'pay', { outcome: 'did_not' });
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: enough. What 1 step had done was undone.' },
    });
    expect(await engine.linesOf('did-not')).toHaveLength(1);
    expect(await engine.statusesOf(runId)).toContainEqual(['pay', 'cancelled']);
  });
});
