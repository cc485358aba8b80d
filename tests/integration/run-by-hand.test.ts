import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { explainRun } from '#services/runs/explain.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { type Resolution, resolveStep } from '#services/runs/actions/steps-by-hand.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { byHand } from '#tests/rig/by-hand.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const { override, skip } = byHand(() => engine);
const resolve = (runId: string, path: string, resolution: Resolution) =>
  engine.act(runId, async (transaction, change) =>
    resolveStep(transaction, { ...change, path, reason: 'looked' }, await readStepFacts(transaction, runId, path), resolution),
  );
const retry = (runId: string) => engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: null }));

/** A run whose step `pay` made its effect on a worker that is lost before it could say so. */
async function startUncertain(name: string, tool = 'test.append', forEach = ''): Promise<string> {
  await engine.stopWorker();
  const doomed = await engine.startWorkerProcess();
  const file = join(engine.home, name);
  const source = `
plan: ${name}
steps:
  pay: { tool: ${tool}, with: { file: "${file}", waitMs: 3000 }${forEach} }
  other: { transform: 1 }
  after: { transform: "\${steps.pay.output}", needs: [pay] }
output: "\${steps.after.output}"
`;
  const runId = await engine.start(await engine.save(source));
  await expect.poll(() => engine.linesOf(name), { timeout: 20_000 }).not.toHaveLength(0);
  await doomed.kill();
  await engine.startWorker();
  await engine.untilStep(runId, 'pay', 'uncertain', 60_000);
  return runId;
}

describe('an uncertain effect', () => {
  it('holds its run until a person says that it happened', async () => {
    const runId = await startUncertain('happened');
    const waiting = await engine.until(runId, (run) => run.status === 'waiting');
    expect(waiting.waitingFor).toMatchObject({ kind: 'approval', ref: null, text: expect.stringContaining(`kai run resolve ${runId} 'pay'`) });
    expect(await engine.statusesOf(runId)).toEqual([
      ['pay', 'uncertain'],
      ['other', 'succeeded'],
    ]);
    await expect(resolve(runId, 'other', { outcome: 'did_not' })).rejects.toMatchObject({ code: 'step_not_uncertain', status: 409 });
    await resolve(runId, 'pay', { outcome: 'happened', output: { at: 7 } });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { at: 7 } });
    expect(await engine.linesOf('happened')).toHaveLength(1);
    const [effect] = await engine.rig.system.sql`select status from kos.effects where run_id = ${runId}`;
    expect(effect).toEqual({ status: 'happened' });
    expect((await engine.audit(runId)).find(({ action }) => action === 'step.resolve.happened')).toMatchObject({
      actor: 'prn_test',
      data: { reason: 'looked' },
    });
  });

  it('that did not happen is made again, and the answer holds over the loss of the worker', async () => {
    const runId = await startUncertain('did-not');
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.stopWorker();
    await resolve(runId, 'pay', { outcome: 'did_not' });
    await engine.startWorker();
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.linesOf('did-not')).toHaveLength(2);
  });

  it('of items holds the whole forEach; when all are resolved it goes on', async () => {
    const runId = await startUncertain('items', 'test.append', ', forEach: "${[1, 2]}", concurrency: 2');
    await engine.until(runId, (run) => run.status === 'waiting');
    const made = (await engine.linesOf('items')).length;
    // The worker may have been lost before it had begun the one or the other.
    const uncertain = (await engine.statusesOf(runId)).flatMap(([path, status]) => (path.startsWith('pay[') && status === 'uncertain' ? [path] : []));
    expect(uncertain.length).toBeGreaterThan(0);
    for (const [place, path] of uncertain.entries())
      await resolve(runId, path, place === 0 ? { outcome: 'happened', output: { at: 1 } } : { outcome: 'did_not' });
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect((await engine.linesOf('items')).length).toBeLessThanOrEqual(made + 1);
  });

  it('of items is told item by item, and is resolved by no word on the whole', async () => {
    const runId = await startUncertain('each-by-each', 'test.append', ', forEach: "${[1, 2]}", concurrency: 2');
    await engine.until(runId, (run) => run.status === 'waiting');
    const { reasons } = await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));
    const uncertain = reasons.filter(({ status }) => status === 'uncertain');
    const items = uncertain.slice(1).map(({ stepPath }) => stepPath ?? '');
    expect(uncertain[0]).toMatchObject({ stepPath: 'pay', blockedBy: { kind: 'items', text: expect.stringContaining(`of ${items.length} of its items`) } });
    expect(items.length).toBeGreaterThan(0);
    for (const { stepPath, command } of uncertain.slice(1)) expect(command).toBe(`kai run resolve ${runId} '${stepPath}' happened|did-not --reason R`);
    await expect(resolve(runId, 'pay', { outcome: 'did_not' })).rejects.toMatchObject({
      code: 'item_meant',
      status: 409,
      fix: expect.stringContaining(items[0] ?? ''),
    });
    expect((await engine.audit(runId)).filter(({ action }) => action.startsWith('step.resolve'))).toEqual([]);
    for (const path of items) await resolve(runId, path, { outcome: 'happened', output: 'seen' });
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('lets its run be cancelled', async () => {
    const runId = await startUncertain('given-up');
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
  });
});

describe('a step ended by hand', () => {
  it('that failed counts as succeeded when its run is retried', async () => {
    const source = `
plan: overridden
steps:
  bad: { tool: test.fail, with: { times: 99 }, retry: { maxAttempts: 1 } }
  after: { transform: "\${steps.bad.output.attempt}" }
output: "\${steps.after.output}"
`;
    const runId = await engine.start(await engine.save(source));
    await engine.ended(runId);
    await override(runId, 'bad', { attempt: 42 });
    expect((await engine.read(runId)).status).toBe('failed');
    await retry(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 42 });
    expect((await engine.steps(runId))[0]).toMatchObject({ metadata: { byHand: { action: 'override', actor: 'prn_test', reason: 'known' } } });
    await expect(override(runId, 'bad', 1)).rejects.toMatchObject({ code: 'run_succeeded' });
  });

  it('before it began never runs; what is skipped takes with it what depends on it', async () => {
    const source = `
plan: by-hand
steps:
  rest: { wait: { forMs: 600000 } }
  one: { tool: test.append, with: { file: "${join(engine.home, 'by-hand')}" }, needs: [rest] }
  two: { tool: test.append, with: { file: "${join(engine.home, 'by-hand')}" }, needs: [one] }
  free: { tool: test.append, with: { file: "${join(engine.home, 'by-hand')}" } }
  last: { transform: "\${steps.free.output.at}" }
output: "\${steps.last.output}"
`;
    const planned = await engine.save(source.replace('600000', '1500'));
    const runId = await engine.start(planned);
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await skip(runId, 'one');
    await override(runId, 'free', { at: 5 }).catch((error: unknown) => expect(error).toMatchObject({ code: expect.stringMatching(/^step_/) }));
    await expect(skip(runId, 'nowhere')).rejects.toMatchObject({ code: 'step_not_found' });
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.statusesOf(runId)).toEqual(
      expect.arrayContaining([
        ['one', 'skipped'],
        ['two', 'skipped'],
        ['rest', 'succeeded'],
      ]),
    );
  });

  it('is never an approval, and never one that works', async () => {
    const source = `
plan: guarded
steps:
  ask: { approval: { for: [write] } }
  write: { artifact: { name: a.txt, content: "x" } }
  slow: { tool: test.rest, with: { waitMs: 4000 } }
`;
    const runId = await engine.start(await engine.save(source));
    await engine.untilStep(runId, 'slow', 'running');
    await engine.untilStep(runId, 'ask', 'waiting');
    await expect(skip(runId, 'ask')).rejects.toMatchObject({ code: 'approval_not_by_hand' });
    await expect(override(runId, 'ask', { approved: true })).rejects.toMatchObject({ code: 'approval_not_by_hand' });
    await expect(skip(runId, 'slow')).rejects.toMatchObject({ code: 'step_at_work' });
    await engine.cancel(runId);
    await engine.ended(runId);
  });
});

describe('a fallback whose output a person gives', () => {
  const plan = (name: string): string => `
plan: ${name}
steps:
  hold: { tool: test.rest, with: { waitMs: 2000 } }
  main: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, onError: { step: spare }, needs: [hold] }
  spare: { tool: test.fail, with: { times: 9 }, retry: { initialDelayMs: 600000 } }
  after: { transform: "\${steps.main.output}" }
output: "\${steps.after.output}"
`;

  it.each(['before', 'after'])('stands in for the step that failed, when it was given %s that', async (order) => {
    const runId = await engine.start(await engine.save(plan(`given-${order}`)));
    if (order === 'before') await engine.untilStep(runId, 'hold', 'running');
    else await engine.untilStep(runId, 'spare', 'retrying');
    await override(runId, 'spare', { attempt: 7 });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: { attempt: 7 } });
  });
});
