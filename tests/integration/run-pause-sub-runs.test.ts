import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Run } from '#schemas/run.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { explainRun } from '#services/runs/explain.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
  await engine.save(
    'plan: rests\ninput: { type: object, properties: { forMs: { type: integer } } }\nsteps:\n  rest: { wait: { forMs: "${input.forMs}" } }\n  after: { transform: 1, needs: [rest] }\n',
  );
  await engine.save(
    'plan: between\ninput: { type: object, properties: { forMs: { type: integer } } }\nsteps:\n  inner: { plan: rests, with: { forMs: "${input.forMs}" } }\n',
  );
});
afterAll(() => engine.close());

const pause = (runId: string, reason: string | null = null) => engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason }));
const resume = (runId: string) => engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
const why = (runId: string) => engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));

/** Runs below the one, in the order of their places. */
async function below(runId: string): Promise<Run[]> {
  const rows = await engine.rig.system.sql<{ id: string }[]>`select id from kos.runs where root_run_id = ${runId} order by called_from`;
  for (const { id } of rows) if (!engine.runIds.includes(id)) engine.runIds.push(id);
  return await Promise.all(rows.map(({ id }) => engine.read(id)));
}

const statusesBelow = async (runId: string): Promise<string[]> => (await below(runId)).map(({ calledFrom, status }) => `${calledFrom} ${status}`);

describe('a pause of a run whose steps run other plans', () => {
  it('reaches them at every depth, says so, and so does the resume', async () => {
    const runId = await engine.start(await engine.save('plan: outer\nsteps:\n  each: { plan: between, with: { forMs: 1500 }, forEach: [1, 2] }\n'));
    await expect.poll(async () => (await statusesBelow(runId)).filter((row) => row.endsWith('waiting')).length, { timeout: 60_000 }).toBe(4);
    await pause(runId, 'look first');
    const paths = ['each[0]', 'each[0]/inner', 'each[1]', 'each[1]/inner'];
    expect(await statusesBelow(runId)).toEqual(paths.map((path) => `${path} paused`));
    const [middle, inner] = await below(runId);
    expect(middle?.waitingFor).toEqual({ kind: 'paused', ref: runId, until: null, text: `Paused with the run that started it, ${runId}: look first` });
    expect((await why(inner?.id ?? '')).reasons[0]).toMatchObject({ blockedBy: { kind: 'paused' }, command: `kai run resume ${middle?.id}` });
    await engine.untilStep(inner?.id ?? '', 'rest', 'succeeded');
    expect(await engine.statusesOf(inner?.id ?? '')).toEqual([['rest', 'succeeded']]);
    expect((await engine.audit(inner?.id ?? '')).map(({ action, data }) => [action, data])).toContainEqual([
      'run.pause',
      { reason: 'look first', with: middle?.id },
    ]);
    await resume(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await statusesBelow(runId)).toEqual(paths.map((path) => `${path} succeeded`));
  });

  it('ends with the cancel of the run: those below end, too, also what somebody paused by hand', async () => {
    const runId = await engine.start(await engine.save('plan: ended\nsteps:\n  each: { plan: between, with: { forMs: 600000 }, forEach: [1, 2] }\n'));
    await expect.poll(async () => (await statusesBelow(runId)).filter((row) => row.endsWith('waiting')).length, { timeout: 60_000 }).toBe(4);
    const [byHand] = await below(runId);
    await pause(byHand?.id ?? '', 'mine');
    await pause(runId);
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    await expect
      .poll(() => statusesBelow(runId), { timeout: 60_000 })
      .toEqual(['each[0]', 'each[0]/inner', 'each[1]', 'each[1]/inner'].map((path) => `${path} cancelled`));
  });

  it('leaves alone what somebody paused by hand, and what is being cancelled', async () => {
    const runId = await engine.start(
      await engine.save('plan: mixed\nsteps:\n  each: { plan: rests, with: { forMs: 600000 }, forEach: [1, 2, 3], onError: continue }\n'),
    );
    await expect.poll(async () => (await statusesBelow(runId)).filter((row) => row.endsWith('waiting')).length, { timeout: 60_000 }).toBe(3);
    const [byHand, cancelled, other] = await below(runId);
    await engine.act(byHand?.id ?? '', (transaction, change) => pauseRun(transaction, { ...change, reason: 'mine' }));
    await engine.cancel(cancelled?.id ?? '');
    await pause(runId);
    expect((await engine.ended(cancelled?.id ?? '')).status).toBe('cancelled');
    expect((await engine.read(other?.id ?? '')).status).toBe('paused');
    await resume(runId);
    expect((await engine.read(byHand?.id ?? '')).waitingFor?.text).toBe('Paused by prn_test: mine');
    expect((await engine.read(other?.id ?? '')).status).not.toBe('paused');
    await engine.cancel(runId);
    await engine.ended(runId);
    for (const { id } of await below(runId)) expect((await engine.ended(id)).status).toBe('cancelled');
  });

  it('lets none slip through that is just being started', async () => {
    const plan = await engine.save('plan: slips\nsteps:\n  each: { plan: rests, with: { forMs: 300 }, forEach: "${range(40)}", concurrency: 40 }\n');
    const runId = await engine.start(plan);
    await expect.poll(async () => (await below(runId)).length, { timeout: 60_000 }).toBeGreaterThan(0);
    await pause(runId);
    // Openings that had begun before the pause end behind it, and what they started is paused, too.
    for (let round = 0; round < 20; round += 1) {
      const open = (await below(runId)).filter(({ status }) => status === 'queued' || status === 'running' || status === 'waiting');
      expect(open).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await resume(runId);
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(new Set((await below(runId)).map(({ status }) => status))).toEqual(new Set(['succeeded']));
  });
});
