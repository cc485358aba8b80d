import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeBytesAtLeast } from '#services/duties/outbox.ts';
import { explainRun } from '#services/runs/explain.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
let freeBytes = freeBytesAtLeast;
beforeAll(async () => {
  engine = await makeTestEngine({ freeBytes: async () => freeBytes });
});
afterAll(() => engine.close());

const why = (runId: string) => engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));

describe('while less than 1 GB is free', () => {
  it('new runs wait and say so; what runs goes on, and they start when there is room', async () => {
    const plan = await engine.save(
      'plan: roomy\nsteps:\n  hold: { signal: { name: go } }\n  last: { transform: "done", needs: [hold] }\noutput: "${steps.last.output}"\n',
    );
    const running = await engine.start(plan);
    await engine.untilStep(running, 'hold', 'waiting');

    freeBytes = freeBytesAtLeast - 1;
    const held = await engine.start(plan);
    await expect.poll(async () => (await engine.read(held)).waitingFor?.text).toContain('Less than 1 GB is free');
    const { reasons } = await why(held);
    expect(reasons[0]).toMatchObject({
      blockedBy: { kind: 'engine', text: expect.stringContaining('Less than 1 GB') },
      unblocks: expect.stringContaining('frees space'),
      command: 'kai doctor',
    });
    expect(reasons.find(({ stepPath }) => stepPath === 'hold')?.blockedBy.text).toBe('The run has not started: see above.');
    expect(await engine.steps(held)).toEqual([]);
    await engine.cancel(running);
    expect(await engine.ended(running)).toMatchObject({ status: 'cancelled' });
    expect((await engine.read(held)).status).toBe('queued');

    freeBytes = freeBytesAtLeast;
    await engine.untilStep(held, 'hold', 'waiting');
    expect((await engine.read(held)).startedAt).not.toBeNull();
    await engine.cancel(held);
    await engine.ended(held);
  });
});
