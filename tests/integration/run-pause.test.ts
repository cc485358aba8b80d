import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const pause = (runId: string, reason: string | null = null) => engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason }));
const resume = (runId: string) => engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
const eventsOf = async (runId: string): Promise<string[]> =>
  (await engine.rig.system.sql<{ type: string }[]>`select type from kos.events where run_id = ${runId} order by inserted`).map(({ type }) => type);

const twoEffects = (name: string, waitMs: number): string => `
plan: ${name}
steps:
  first: { tool: test.append, with: { file: "${join(engine.home, name)}", waitMs: ${waitMs} } }
  second: { tool: test.append, with: { file: "${join(engine.home, name)}" }, needs: [first] }
`;

describe('a paused run', () => {
  it('finishes the step that runs, starts no other, and goes on when it is resumed', async () => {
    const runId = await engine.start(await engine.save(twoEffects('paused', 1_500)));
    await expect.poll(() => engine.linesOf('paused'), { timeout: 60_000 }).toHaveLength(1);
    await pause(runId, 'look first');
    expect(await engine.read(runId)).toMatchObject({ status: 'paused', waitingFor: { kind: 'paused', text: 'Paused by prn_test: look first' } });
    await engine.untilStep(runId, 'first', 'succeeded');
    await sleep(1_000);
    expect(await engine.statusesOf(runId)).toEqual([['first', 'succeeded']]);
    expect((await engine.read(runId)).status).toBe('paused');
    await resume(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.linesOf('paused')).toHaveLength(2);
    const events = await eventsOf(runId);
    expect(events.filter((type) => type === 'run.paused' || type === 'run.resumed')).toEqual(['run.paused', 'run.resumed']);
    expect((await engine.audit(runId)).map(({ action }) => action)).toEqual(expect.arrayContaining(['run.pause', 'run.unpause']));
  });

  it('stops a chain at its next checkpoint', async () => {
    const ids = Array.from({ length: 150 }, (_, index) => `s${index}`);
    const steps = ids.map((id, index) => `  ${id}: { transform: ${index === 0 ? '0' : `"\${steps.${ids[index - 1]}.output + 1}"`} }`).join('\n');
    const runId = await engine.start(await engine.save(`plan: chained\nsteps:\n${steps}\noutput: "\${steps.s149.output}"\n`));
    await engine.until(runId, (run) => run.status === 'running');
    await pause(runId).catch((error: unknown) => expect(error).toMatchObject({ code: 'run_final' }));
    await sleep(1_000);
    const before = (await engine.steps(runId)).length;
    await sleep(500);
    expect((await engine.steps(runId)).length).toBe(before);
    if ((await engine.read(runId)).status === 'paused') await resume(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 149 });
  });

  it('that nobody has begun begins when it is resumed, and pausing it again and again at once ends as the last word was', async () => {
    await engine.stopWorker();
    const runId = await engine.start(await engine.save('plan: not-begun\nsteps:\n  only: { transform: 1 }\n'));
    await pause(runId);
    await engine.startWorker();
    await sleep(1_000);
    expect(await engine.steps(runId)).toEqual([]);
    for (let round = 0; round < 10; round += 1) {
      await resume(runId).catch((error: unknown) => expect(error).toMatchObject({ status: 409 }));
      await pause(runId).catch((error: unknown) => expect(error).toMatchObject({ status: 409 }));
    }
    if ((await engine.read(runId)).status === 'paused') await resume(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('keeps its deadlines: a timer that ends meanwhile has ended, and what follows starts with the resume', async () => {
    const runId = await engine.start(await engine.save('plan: timed\nsteps:\n  rest: { wait: { forMs: 1000 } }\n  after: { transform: 1, needs: [rest] }\n'));
    await engine.until(runId, (run) => run.status === 'waiting');
    await pause(runId);
    await engine.untilStep(runId, 'rest', 'succeeded');
    await sleep(500);
    expect(await engine.statusesOf(runId)).toEqual([['rest', 'succeeded']]);
    expect((await engine.read(runId)).status).toBe('paused');
    await resume(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('that waits says so again when it is resumed', async () => {
    const runId = await engine.start(await engine.save('plan: long-rest\nsteps:\n  rest: { wait: { forMs: 600000 } }\n'));
    await engine.until(runId, (run) => run.status === 'waiting');
    await pause(runId);
    await resume(runId);
    expect((await engine.until(runId, (run) => run.status === 'waiting')).waitingFor).toMatchObject({ kind: 'timer' });
    await pause(runId);
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
  });

  it('stays paused over the loss of its worker, whose step is finished by the next one', async () => {
    await engine.stopWorker();
    const doomed = await engine.startWorkerProcess();
    const name = 'lost-and-paused';
    const source = twoEffects(name, 2_000).replaceAll('test.append', 'test.repeat');
    const runId = await engine.start(await engine.save(source));
    await expect.poll(() => engine.linesOf(name), { timeout: 60_000 }).toHaveLength(1);
    await pause(runId);
    await doomed.kill();
    await engine.startWorker();
    await engine.untilStep(runId, 'first', 'succeeded');
    await sleep(1_000);
    expect(await engine.statusesOf(runId)).toEqual([['first', 'succeeded']]);
    await resume(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('holds items and windows, too', async () => {
    const source = `
plan: paused-windows
steps:
  each: { tool: test.rest, with: { waitMs: 20 }, forEach: "\${range(520)}", concurrency: 8 }
output: "\${size(steps.each.output)}"
`;
    const runId = await engine.start(await engine.save(source));
    const succeeded = async (): Promise<number> => {
      const [row] = await engine.rig.system.sql<{ count: number }[]>`
        select count(*)::int as count from kos.steps where run_id = ${runId} and item is not null and status = 'succeeded'`;
      return row?.count ?? 0;
    };
    await expect.poll(succeeded, { timeout: 240_000 }).toBeGreaterThan(20);
    await pause(runId);
    await sleep(1_500);
    const held = await succeeded();
    expect(held).toBeLessThan(520);
    await sleep(1_000);
    expect(await succeeded()).toBe(held);
    await resume(runId);
    expect(await engine.ended(runId, 120_000)).toMatchObject({ status: 'succeeded', output: 520 });
  });
});

describe('terminating', () => {
  it('ends a run at once, keeps the reason, and lets nothing of it be recorded any more', async () => {
    const runId = await engine.start(await engine.save(twoEffects('terminated', 1_500)));
    await expect.poll(() => engine.linesOf('terminated'), { timeout: 60_000 }).toHaveLength(1);
    await engine.act(runId, (transaction, change) => terminateRun(transaction, { ...change, reason: 'runaway' }));
    expect(await engine.read(runId)).toMatchObject({
      status: 'terminated',
      error: { code: 'terminated', message: 'The run was terminated by prn_test: runaway' },
    });
    await expect.poll(async () => (await engine.workflows.describe(runId))?.status).toBe('terminated');
    await sleep(2_000);
    expect(await engine.statusesOf(runId)).toEqual([['first', 'cancelled']]);
    expect(await eventsOf(runId)).toContain('run.terminated');
    expect((await engine.audit(runId)).find(({ action }) => action === 'run.terminate')).toMatchObject({ actor: 'prn_test', data: { reason: 'runaway' } });
  });
});
