import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ worker: false });
});
afterAll(() => engine.close());

/** Instants (ms since the epoch) at which items ended. */
const endsOf = async (runId: string): Promise<number[]> => {
  const rows = await engine.rig.system.sql<{ at: number }[]>`
    select (extract(epoch from finished_at) * 1000)::float8 as at from kos.steps where run_id = ${runId} and item is not null and finished_at is not null order by 1`;
  return rows.map(({ at }) => at);
};

describe('a worker that is killed (SIGKILL) in the midst of a fan-out', () => {
  it('leaves at most 4 s of silence when another one is there, and every effect happens once', async () => {
    const first = await engine.startWorkerProcess();
    const source = `
plan: fan-out
steps:
  write: { tool: fs.create, with: { path: "\${run.id}/\${index}.txt", content: "\${'trace'}" }, forEach: "\${range(500)}", concurrency: 3 }
output: "\${size(steps.write.output)}"
`;
    const runId = await engine.start(await engine.save(source));
    await expect.poll(async () => (await endsOf(runId)).length, { timeout: 240_000, interval: 10 }).toBeGreaterThan(10);
    // The first worker holds the workflow in memory, and is the one that goes.
    await engine.startWorkerProcess();
    expect((await endsOf(runId)).length).toBeLessThan(450);
    await first.kill();
    expect(await engine.ended(runId)).toMatchObject({ error: null, output: 500 });
    const ends = await endsOf(runId);
    const silence = Math.max(...ends.slice(1).map((at, index) => at - (ends[index] ?? at)));
    console.info(`Longest silence after SIGKILL: ${Math.round(silence)} ms.`);
    expect(silence).toBeLessThan(4_000);
    expect(await readdir(join(engine.home, 'workspace', runId))).toHaveLength(500);
    const attempts = await engine.steps(runId);
    expect(attempts.filter(({ attempt }) => attempt > 1)).toEqual([]);
  });

  it('while an idempotent step runs: it is asked again under the same key, in the same attempt', async () => {
    const worker = await engine.startWorkerProcess();
    await engine.stopOthers(worker);
    const file = join(engine.home, 'repeat.txt');
    const runId = await engine.start(await engine.save(`plan: repeat\nsteps:\n  only: { tool: test.repeat, with: { file: "${file}", waitMs: 3000 } }\n`));
    await expect.poll(() => engine.linesOf('repeat.txt'), { timeout: 10_000 }).toHaveLength(1);
    await worker.kill();
    await engine.startWorkerProcess();
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.linesOf('repeat.txt')).toEqual([`${runId}/only 1`, `${runId}/only 1`]);
  });

  it('while an effectful step runs: it is uncertain, and never repeated', async () => {
    const worker = await engine.startWorkerProcess();
    await engine.stopOthers(worker);
    const file = join(engine.home, 'send.txt');
    const runId = await engine.start(
      await engine.save(`plan: send\nsteps:\n  only: { tool: test.append, with: { file: "${file}", waitMs: 60000 }, retry: { maxAttempts: 5 } }\n`),
    );
    await expect.poll(() => engine.linesOf('send.txt'), { timeout: 10_000 }).toHaveLength(1);
    await worker.kill();
    await engine.startWorkerProcess();
    const step = await engine.untilStep(runId, 'only', 'uncertain');
    expect(step).toMatchObject({ attempt: 1, error: { code: 'effect_uncertain' } });
    await sleep(500);
    expect(await engine.linesOf('send.txt')).toEqual([`${runId}/only`]);
    // It holds its run until a person says what happened, or ends it.
    await engine.cancel(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
  });
});

it('many effectful steps that a worker was lost in are uncertain, each once', { timeout: 300_000 }, async () => {
  // More than a run begins in one decision.
  const count = proofSize(60, 200);
  // A worker has room for 100 calls at once.
  const atOnce = Math.min(count, 80);
  const file = join(engine.home, 'sends.txt');
  const plan = await engine.save(
    `plan: sends\ninput: { type: object, properties: { count: { type: integer } } }\nsteps:\n  pay: { tool: test.append, with: { file: "${file}", waitMs: 120000 }, forEach: "\${range(input.count)}", concurrency: ${atOnce}, timeoutMs: 200000 }\n`,
  );
  const runIds: string[] = [];
  let worker = await engine.startWorkerProcess();
  await engine.stopOthers(worker);
  for (let begun = 0; begun < count; ) {
    const next = Math.min(atOnce, count - begun);
    runIds.push(await engine.start(plan, { count: next }));
    begun += next;
    await expect.poll(async () => (await engine.linesOf('sends.txt')).length, { timeout: 60_000 }).toBe(begun);
    await worker.kill();
    worker = await engine.startWorkerProcess();
  }
  for (const runId of runIds) await engine.untilStep(runId, 'pay', 'uncertain', 60_000);
  const steps = (await Promise.all(runIds.map((runId) => engine.steps(runId)))).flat().filter(({ path }) => path !== 'pay');
  expect(steps.map(({ status, attempt }) => `${status} ${attempt}`)).toEqual(Array.from({ length: count }, () => 'uncertain 1'));
  const sent = await engine.linesOf('sends.txt');
  expect([new Set(sent).size, sent.length]).toEqual([count, count]);
  for (const runId of runIds) await engine.cancel(runId);
  for (const runId of runIds) expect((await engine.ended(runId)).status).toBe('cancelled');
});

describe('a worker that is stopped by hand', () => {
  it('loses nothing: what it had begun goes on elsewhere in the same attempt', async () => {
    await engine.stopOthers(null);
    await engine.startWorker();
    const file = join(engine.home, 'handed-over.txt');
    const runId = await engine.start(
      await engine.save(
        `plan: handed-over\nsteps:\n  only: { tool: test.repeat, with: { file: "${file}", waitMs: 5000 } }\n  pure: { transform: "\${range(10)}" }\n`,
      ),
    );
    await expect.poll(() => engine.linesOf('handed-over.txt'), { timeout: 10_000 }).toHaveLength(1);
    await engine.stopWorker();
    expect((await engine.read(runId)).status).toBe('running');
    await engine.startWorker();
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.linesOf('handed-over.txt')).toEqual([`${runId}/only 1`, `${runId}/only 1`]);
    expect((await engine.steps(runId)).map(({ path, status }) => `${path} ${status}`)).toEqual(['only succeeded', 'pure succeeded']);
  });
});
