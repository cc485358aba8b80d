import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import type { Run } from '#schemas/run.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { overrideStep } from '#services/runs/actions/steps-by-hand.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { listRuns } from '#services/runs/read.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const childrenOf = async (runId: string): Promise<Run[]> => {
  const page = await engine.act(runId, (transaction) =>
    listRuns(transaction, { statuses: null, plan: null, parent: runId, labels: {}, cursor: null, limit: 200 }),
  );
  for (const { id } of page.items) if (!engine.runIds.includes(id)) engine.runIds.push(id);
  return page.items;
};

const onlyChildOf = async (runId: string): Promise<Run> => {
  const [child, ...others] = await childrenOf(runId);
  expect(others).toEqual([]);
  if (child === undefined) throw new Error(`${runId} has no sub-run.`);
  return child;
};

const retry = (runId: string) => engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: 'mended' }));

const here = (name: string): string => join(engine.home, 'workspace', name);

/** Pays, then needs a file; `undo`, `more`: written into both of its steps. */
const inner = (name: string, missing: string, more = ''): string => `
plan: ${name}
input: { type: object, properties: { n: { type: string, default: one } } }
steps:
  pay: { tool: test.note, with: { file: "${join(engine.home, name)}", text: "\${input.n}" }${more} }
  read: { tool: fs.read, with: { path: "${here(missing)}" }, needs: [pay], retry: { maxAttempts: 1 } }
output: "\${input.n} \${steps.read.output.content}"
`;

describe('a retry of a run whose sub-run failed', () => {
  it('goes on with that sub-run, at every depth, from its failed step, and says so in its records', async () => {
    await engine.save(inner('deep', 'deep.txt'));
    await engine.save('plan: between\nsteps:\n  inner: { plan: deep }\noutput: "${steps.inner.output}"\n');
    const failed = await engine.run('plan: above\nsteps:\n  outer: { plan: between }\noutput: "${steps.outer.output}"\n');
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'sub_run_failed' } });
    const middle = await onlyChildOf(failed.id);
    const deep = await onlyChildOf(middle.id);
    await expect(retry(deep.id)).rejects.toMatchObject({
      code: 'caller_ended',
      status: 409,
      message: expect.stringContaining(`inner of ${middle.id}, which has failed`),
      fix: expect.stringContaining(`kai run retry ${failed.id}`),
    });
    await writeFile(here('deep.txt'), 'here');
    await retry(failed.id);
    expect(await engine.ended(failed.id)).toMatchObject({ status: 'succeeded', output: 'one here' });
    expect(await onlyChildOf(failed.id)).toMatchObject({ id: middle.id, status: 'succeeded', error: null });
    expect(await onlyChildOf(middle.id)).toMatchObject({ id: deep.id, status: 'succeeded', error: null });
    expect(await engine.linesOf('deep')).toEqual([`${deep.id}/pay one`]);
    for (const [called, caller] of [
      [middle.id, failed.id],
      [deep.id, middle.id],
    ] as const) {
      expect((await engine.audit(called)).find(({ action }) => action === 'run.retry')).toMatchObject({
        actor: 'prn_test',
        data: { reason: 'mended', with: caller, ended: 'failed' },
      });
      const [resumed] = await engine.rig.system.sql<{ data: JsonObject }[]>`
        select data from kos.events where run_id = ${called} and type = 'run.resumed' and data ? 'retry'`;
      expect(resumed?.data).toMatchObject({ by: 'prn_test', reason: 'mended', retry: true, with: caller });
    }
    expect((await engine.steps(failed.id))[0]).toMatchObject({ attempt: 1, metadata: { runId: middle.id, attemptsBefore: 1 } });
  });

  it('does so for each item and each round, and again after another failure', async () => {
    await engine.save(inner('each-pays', 'each.txt'));
    const failed = await engine.run(`
plan: many
steps:
  each: { plan: each-pays, with: { n: "\${item}" }, forEach: [a, b, c], concurrency: 1 }
  round: { plan: each-pays, with: { n: r }, repeat: { until: "\${true}", maxIterations: 3 } }
output: "\${steps.each.output}"
`);
    expect(failed.status).toBe('failed');
    const before = (await childrenOf(failed.id)).map(({ id }) => id);
    await retry(failed.id);
    expect((await engine.ended(failed.id)).status).toBe('failed');
    await writeFile(here('each.txt'), 'ok');
    await retry(failed.id);
    expect(await engine.ended(failed.id)).toMatchObject({ status: 'succeeded', output: ['a ok', 'b ok', 'c ok'] });
    const children = await childrenOf(failed.id);
    expect(children.map(({ id }) => id)).toEqual(expect.arrayContaining(before));
    expect(children.map(({ calledFrom }) => String(calledFrom)).toSorted()).toEqual(['each[0]', 'each[1]', 'each[2]', 'round#0']);
    expect((await engine.linesOf('each-pays')).map((line) => line.split(' ')[1] ?? '').toSorted()).toEqual(['a', 'b', 'c', 'r']);
  });

  it('comes out right when the worker is killed and what Temporal holds is lost in the midst of it', async () => {
    await engine.save(`
plan: slowly
steps:
  pay: { tool: test.note, with: { file: "${join(engine.home, 'slowly')}", text: paid } }
  read: { tool: fs.read, with: { path: "${here('slowly.txt')}" }, needs: [pay], retry: { maxAttempts: 1 } }
  rest: { wait: { forMs: 2000 }, needs: [read] }
output: "\${steps.read.output.content}"
`);
    const failed = await engine.run('plan: calls-slowly\nsteps:\n  child: { plan: slowly }\noutput: "${steps.child.output}"\n');
    const child = await onlyChildOf(failed.id);
    await writeFile(here('slowly.txt'), 'slow');
    await engine.stopWorker();
    await retry(failed.id);
    const worker = await engine.startWorkerProcess();
    await engine.untilStep(child.id, 'rest', 'waiting');
    await worker.kill();
    for (const id of [failed.id, child.id]) await engine.loseWorkflow(id);
    await engine.startWorker();
    expect(await engine.ended(failed.id)).toMatchObject({ status: 'succeeded', output: 'slow' });
    expect(await onlyChildOf(failed.id)).toMatchObject({ id: child.id, status: 'succeeded' });
    expect(await engine.linesOf('slowly')).toEqual([`${child.id}/pay paid`]);
  }, 120_000);

  it('waits until a sub-run that was to end with it has ended, then goes on with it', async () => {
    await engine.save(`
plan: lingers
steps:
  pay: { tool: test.note, with: { file: "${join(engine.home, 'lingers')}", text: paid } }
  rest: { wait: { forMs: 3000 }, needs: [pay] }
output: { done: true }
`);
    const runId = await engine.start(await engine.save('plan: calls-lingers\nsteps:\n  child: { plan: lingers }\noutput: "${steps.child.output}"\n'));
    await engine.untilStep(runId, 'child', 'waiting');
    const child = await onlyChildOf(runId);
    await engine.untilStep(child.id, 'rest', 'waiting');
    await engine.act(runId, async (transaction, change) => {
      await terminateRun(transaction, { ...change, reason: null });
      await retryRun(transaction, { ...change, reason: null });
    });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { done: true } });
    expect(await onlyChildOf(runId)).toMatchObject({ id: child.id, status: 'succeeded' });
    expect(await engine.linesOf('lingers')).toEqual([`${child.id}/pay paid`]);
  });

  it('counts what the sub-run costs once', async () => {
    await engine.save(inner('priced', 'priced.txt'));
    const failed = await engine.run('plan: calls-priced\nsteps:\n  child: { plan: priced }\n');
    const child = await onlyChildOf(failed.id);
    const { sql } = engine.rig.system;
    await sql`update kos.runs set cost_micros = 100 where id = ${child.id}`;
    await retry(failed.id);
    await engine.ended(failed.id);
    await sql`update kos.runs set cost_micros = 130 where id = ${child.id}`;
    await writeFile(here('priced.txt'), 'x');
    await retry(failed.id);
    await engine.ended(failed.id);
    const costs = await sql`
      select r.cost_micros::int as run, s.cost_micros::int as step from kos.runs r join kos.steps s on s.run_id = r.id where r.id = ${failed.id}`;
    expect(costs[0]).toEqual({ run: 130, step: 130 });
  });

  it('starts another one where its input has changed, and where the first has undone what it did', async () => {
    await engine.save(inner('undoes', 'undoes.txt', `, undo: { tool: test.note, with: { file: "${join(engine.home, 'undone')}", text: back } }`));
    const undone = await engine.run('plan: calls-undoes\nsteps:\n  child: { plan: undoes }\noutput: "${steps.child.output}"\n');
    expect(await engine.linesOf('undone')).toHaveLength(1);
    await writeFile(here('undoes.txt'), 'now');
    await retry(undone.id);
    expect(await engine.ended(undone.id)).toMatchObject({ status: 'succeeded', output: 'one now' });
    expect((await childrenOf(undone.id)).map(({ status }) => status).toSorted()).toEqual(['failed', 'succeeded']);

    await engine.save(inner('fed', 'fed.txt'));
    const fed = await engine.run(
      'plan: feeds\nsteps:\n  late: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, onError: continue }\n  child: { plan: fed, with: { n: "${steps.late.output == null ? \'none\' : string(steps.late.output.attempt)}" }, needs: [late] }\noutput: "${steps.child.output}"\n',
    );
    expect(fed).toMatchObject({ status: 'failed', error: { stepPath: 'child' } });
    await writeFile(here('fed.txt'), 'now');
    await engine.act(fed.id, async (transaction, change) =>
      overrideStep(transaction, { ...change, path: 'late', output: { attempt: 7 }, reason: 'known' }, await readStepFacts(transaction, fed.id, 'late')),
    );
    await retry(fed.id);
    expect(await engine.ended(fed.id)).toMatchObject({ status: 'succeeded', output: '7 now' });
    expect(await childrenOf(fed.id)).toHaveLength(2);
    await Promise.all(['undoes.txt', 'fed.txt'].map((name) => rm(here(name))));
  });
});

describe('a retry of a sub-run by itself', () => {
  it('goes on where its caller has gone on without it, and is waited for where that still waits', async () => {
    await engine.save(inner('alone', 'alone.txt'));
    const tolerant = await engine.run('plan: tolerates\nsteps:\n  child: { plan: alone, onError: continue }\noutput: "${steps.child.status}"\n');
    expect(tolerant).toMatchObject({ status: 'succeeded', output: 'failed' });
    const child = await onlyChildOf(tolerant.id);
    await writeFile(here('alone.txt'), 'here');
    await retry(child.id);
    expect(await engine.ended(child.id)).toMatchObject({ status: 'succeeded' });
    expect(await engine.linesOf('alone')).toEqual([`${child.id}/pay one`]);
    await rm(here('alone.txt'));
  });
});
