import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { overrideStep } from '#services/runs/actions/steps-by-hand.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { historiesOf } from '#tests/rig/replay.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const chain = (name: string, steps: string[]): string =>
  `plan: ${name}\nfuse: effects\nsteps:\n${steps.map((step, index) => `  s${index}: { ${step}${index === 0 ? '' : `, needs: [s${index - 1}]`} }`).join('\n')}\n`;

const linesOf = async (name: string): Promise<string[]> =>
  (await readFile(join(engine.home, name), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

const eventsOf = async (runId: string, attributes: 'activityTaskScheduledEventAttributes' | 'markerRecordedEventAttributes'): Promise<number> => {
  let count = 0;
  for await (const { history } of historiesOf(engine, [runId])) count += (history.events ?? []).filter((event) => (event[attributes] ?? null) !== null).length;
  return count;
};

/** Activities that Temporal was asked for. */
const activitiesOf = (runId: string): Promise<number> => eventsOf(runId, 'activityTaskScheduledEventAttributes');
/** Units that were done within a task of the workflow. */
const quickUnitsOf = (runId: string): Promise<number> => eventsOf(runId, 'markerRecordedEventAttributes');

describe('a chain of idempotent steps, model calls, artifacts and pure steps (fuse: effects)', () => {
  it('is one activity, and each step has its row, events, audit entry and effect', async () => {
    const file = join(engine.home, 'chain.txt');
    const runId = await engine.start(
      await engine.save(
        chain('one-activity', [
          `tool: test.repeat, with: { file: "${file}" }`,
          `llm: { model: builtin/summary, prompt: "Summarise: kOS runs plans." }`,
          `artifact: { name: note.txt, content: "\${steps.s1.output}" }`,
          `transform: "\${steps.s2.output.name}"`,
          `tool: test.repeat, with: { file: "${file}" }`,
        ]),
      ),
    );
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', error: null });
    expect((await engine.steps(runId)).map(({ path, status, attempt }) => `${path} ${status} ${attempt}`)).toEqual(
      [0, 1, 2, 3, 4].map((index) => `s${index} succeeded 1`),
    );
    expect(await linesOf('chain.txt')).toEqual([`${runId}/s0 1`, `${runId}/s4 1`]);
    const events = await engine.rig.system.sql<{ type: string; path: string }[]>`
      select type, data->>'stepPath' as path from kos.events where run_id = ${runId} and type like 'step.%' order by at, id`;
    expect(events.map(({ type }) => type).toSorted()).toEqual([...Array<string>(5).fill('step.started'), ...Array<string>(5).fill('step.succeeded')]);
    const audited = (await engine.audit(runId)).map(({ action }) => action);
    expect(audited.filter((action) => action === 'step.succeeded')).toHaveLength(5);
    expect(audited.filter((action) => action === 'effect.intended')).toHaveLength(3);
    const effects = await engine.rig.system.sql<{ status: string }[]>`select status from kos.effects where run_id = ${runId}`;
    expect(effects.map(({ status }) => status)).toEqual(['happened', 'happened', 'happened']);
    expect(await activitiesOf(runId)).toBe(1);
  });

  it('goes on behind its last checkpoint after a failed attempt, and spends only that step’s attempts', async () => {
    const file = join(engine.home, 'retried.txt');
    const retry = 'retry: { maxAttempts: 3, initialDelayMs: 20 }';
    const run = await engine.run(
      chain('retried', [
        `tool: test.repeat, with: { file: "${file}" }`,
        `tool: test.fail, with: { times: 2 }, ${retry}`,
        `tool: test.repeat, with: { file: "${file}" }`,
      ]),
    );
    expect(run.status).toBe('succeeded');
    expect((await engine.steps(run.id)).map(({ path, attempt }) => `${path} ${attempt}`)).toEqual(['s0 1', 's1 3', 's2 1']);
    expect(await linesOf('retried.txt')).toEqual([`${run.id}/s0 1`, `${run.id}/s2 1`]);
  });

  it('holds each step to its own time-out', async () => {
    const run = await engine.run(
      chain('timed', [`tool: test.rest, with: { waitMs: 10 }`, `tool: test.rest, with: { waitMs: 60000 }, timeoutMs: 100, retry: { maxAttempts: 1 }`]),
    );
    expect(run).toMatchObject({ status: 'failed', error: { code: 'step_timeout', stepPath: 's1' } });
  });

  it('begins nothing more once the run is paused, and goes on from there', async () => {
    const file = join(engine.home, 'paused.txt');
    const step = `tool: test.repeat, with: { file: "${file}", waitMs: 700 }`;
    const runId = await engine.start(await engine.save(chain('paused', [step, step, step])));
    await expect.poll(() => linesOf('paused.txt'), { timeout: 20_000, interval: 10 }).toHaveLength(1);
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await engine.untilStep(runId, 's0', 'succeeded');
    await sleep(1_000);
    expect(await linesOf('paused.txt')).toHaveLength(1);
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await linesOf('paused.txt')).toHaveLength(3);
  });

  it('ends what it is at when the run is cancelled', async () => {
    const file = join(engine.home, 'cancelled.txt');
    const step = `tool: test.repeat, with: { file: "${file}", waitMs: 50000 }`;
    const runId = await engine.start(await engine.save(chain('cancelled', [`tool: test.rest, with: { waitMs: 1 }`, step, step])));
    await expect.poll(() => linesOf('cancelled.txt'), { timeout: 20_000, interval: 10 }).toHaveLength(1);
    await engine.cancel(runId, 'enough');
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    expect(await linesOf('cancelled.txt')).toHaveLength(1);
  });

  it('gives its worker back after 5 s: the rest is another activity', async () => {
    const runId = await engine.start(await engine.save(chain('long', Array<string>(6).fill('tool: test.rest, with: { waitMs: 1500 }'))));
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await activitiesOf(runId)).toBe(2);
  });
});

describe('a step of a chain whose next one is begun with its outcome', () => {
  it('fails by itself when its output is too large: the next one is never called', async () => {
    const file = join(engine.home, 'after-large.txt');
    const steps = ['tool: test.big, with: { bytes: 100000 }', 'tool: test.big, with: { bytes: 8000001 }', `tool: test.repeat, with: { file: "${file}" }`];
    const run = await engine.run(chain('too-large-between', steps));
    expect(run).toMatchObject({ status: 'failed', error: { code: 'output_too_large', stepPath: 's1' } });
    expect(await linesOf('after-large.txt')).toEqual([]);
    const effects = await engine.rig.system.sql<{ path: string; status: string }[]>`
      select step_path as path, status from kos.effects where run_id = ${run.id} order by step_path`;
    expect(effects).toEqual([
      { path: 's0', status: 'happened' },
      { path: 's1', status: 'happened' },
    ]);
  });

  it('keeps its outcome whatever the next one comes to: skipped, failed by its expression, tried again', async () => {
    const file = join(engine.home, 'mixed-chain.txt');
    const run = await engine.run(
      `plan: mixed-chain\nfuse: effects\nsteps:\n  s0: { tool: test.repeat, with: { file: "${file}" } }\n  s1: { tool: test.repeat, with: { file: "${file}" }, needs: [s0], when: "\${false}" }\n  s2: { tool: test.repeat, with: { file: "\${string([1][steps.s0.output.at])}" }, needs: [s0], onError: continue }\n  s3: { tool: test.repeat, with: { file: "${file}" }, needs: [s2] }\n  s4: { tool: test.fail, with: { times: 1 }, retry: { initialDelayMs: 300 }, needs: [s3] }\n  s5: { tool: test.repeat, with: { file: "${file}" }, needs: [s4] }\n`,
    );
    expect(run).toMatchObject({ status: 'succeeded', error: null });
    expect((await engine.steps(run.id)).map(({ path, status, attempt }) => `${path} ${status} ${attempt}`)).toEqual([
      's0 succeeded 1',
      's1 skipped 1',
      's2 failed 1',
      's3 succeeded 1',
      's4 succeeded 2',
      's5 succeeded 1',
    ]);
    expect(await linesOf('mixed-chain.txt')).toEqual([`${run.id}/s0 1`, `${run.id}/s3 1`, `${run.id}/s5 1`]);
    const [waited] = await engine.rig.system.sql<{ ms: number }[]>`
      select extract(epoch from (select at from kos.events where run_id = ${run.id} and type = 'step.succeeded' and data->>'stepPath' = 's4')
        - (select at from kos.events where run_id = ${run.id} and type = 'step.retrying')) * 1000 as ms`;
    expect(Number(waited?.ms)).toBeGreaterThanOrEqual(300);
  });
});

describe('a chain of pure steps, done ahead of its record', () => {
  const counted = (name: string, count: number, first: string): string => {
    const steps = Array.from({ length: count - 1 }, (_, index) => `  s${index + 2}: { transform: "\${steps.s${index + 1}.output + 1}" }`);
    return `plan: ${name}\nfuse: effects\nsteps:\n  s0: { ${first} }\n  s1: { transform: 1, needs: [s0] }\n${steps.join('\n')}\noutput: "\${steps.s${count}.output}"\n`;
  };

  const toldOf = async (runId: string): Promise<string[]> => {
    const told = await engine.rig.system.sql<{ told: string }[]>`
      select data->>'stepPath' || ' ' || type as told from kos.events where run_id = ${runId} and type like 'step.%' and data->>'stepPath' <> 's0' order by inserted`;
    return told.map(({ told: each }) => each);
  };

  it('leaves of each its row, events in order and audit entry, and few activities', async () => {
    const run = await engine.run(counted('ahead', 150, 'transform: 1'));
    expect(run).toMatchObject({ status: 'succeeded', output: 150 });
    expect(await toldOf(run.id)).toEqual(Array.from({ length: 150 }, (_, index) => [`s${index + 1} step.started`, `s${index + 1} step.succeeded`]).flat());
    expect((await engine.steps(run.id)).every(({ status, attempt }) => status === 'succeeded' && attempt === 1)).toBe(true);
    expect((await engine.audit(run.id)).filter(({ action }) => action === 'step.succeeded')).toHaveLength(151);
    expect({ activities: await activitiesOf(run.id), quick: await quickUnitsOf(run.id) }).toEqual({ activities: 0, quick: 1 });
  });

  it('heeds what a person has said of one of them meanwhile', async () => {
    const runId = await engine.start(await engine.save(counted('by-hand', 6, 'tool: test.rest, with: { waitMs: 1500 }')));
    await engine.untilStep(runId, 's0', 'running');
    await engine.act(runId, async (transaction, change) =>
      overrideStep(transaction, { ...change, path: 's3', output: 100, reason: 'known' }, await readStepFacts(transaction, runId, 's3')),
    );
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 103 });
    expect((await engine.steps(runId)).map(({ path, status }) => `${path} ${status}`)).toEqual([0, 1, 2, 3, 4, 5, 6].map((step) => `s${step} succeeded`));
    expect((await toldOf(runId)).filter((told) => told.endsWith('succeeded'))).toHaveLength(6);
  });

  it('is recorded once, however often its worker is killed (SIGKILL)', { timeout: 300_000 }, async () => {
    await engine.stopWorker();
    const plan = await engine.save(counted('ahead-killed', 199, 'transform: 1'));
    const ids: string[] = [];
    for (let life = 0; life < proofSize(2, 6); life += 1) {
      for (let run = 0; run < 5; run += 1) ids.push(await engine.start(plan));
      const worker = await engine.startWorkerProcess();
      await sleep(150 + 60 * life);
      await worker.kill();
    }
    const last = await engine.startWorkerProcess();
    for (const runId of ids) expect(await engine.ended(runId, 120_000)).toMatchObject({ status: 'succeeded', output: 199 });
    await last.kill();
    for (const runId of ids) {
      expect((await toldOf(runId)).filter((told) => told.endsWith('succeeded'))).toEqual(
        Array.from({ length: 199 }, (_, index) => `s${index + 1} step.succeeded`),
      );
      expect((await engine.audit(runId)).filter(({ action }) => action === 'step.succeeded')).toHaveLength(200);
    }
  });
});

describe('effects that are cut off by their workers’ deaths (SIGKILL), after they happened and before that is known, in chains', () => {
  const runs = 20;
  const steps = proofSize(3, 10);

  it('leave one effect each, asked for twice under the same key in the same attempt, none doubled', { timeout: 600_000 }, async () => {
    await engine.stopWorker();
    const folder = join(engine.home, 'unanswered');
    await mkdir(folder);
    const plan = await engine.save(chain('killed', Array<string>(steps).fill(`tool: test.unanswered, with: { folder: "${folder}" }`)));
    const ids: string[] = [];
    for (let run = 0; run < runs; run += 1) ids.push(await engine.start(plan));
    const effects = async (): Promise<number> => (await readdir(folder)).filter((name) => name.endsWith('.effect')).length;
    for (let life = 1; life <= steps; life += 1) {
      const worker = await engine.startWorkerProcess();
      // Each run is in the midst of its next effect: it has happened, and its answer never comes.
      await expect.poll(effects, { timeout: 60_000, interval: 50 }).toBe(life * runs);
      await worker.kill();
    }
    await engine.startWorkerProcess();
    for (const runId of ids) expect(await engine.ended(runId, 120_000)).toMatchObject({ status: 'succeeded', error: null });
    for (const runId of ids) {
      const rows = await engine.rig.system.sql<{ key: string; status: string; calls: number }[]>`
        select key, status, calls from kos.effects where run_id = ${runId} order by key`;
      expect(rows).toEqual(Array.from({ length: steps }, (_, step) => ({ key: `${runId}/s${step}`, status: 'happened', calls: 2 })));
      for (let step = 0; step < steps; step += 1)
        expect(await linesOf(join('unanswered', `${runId}.s${step}.calls`))).toEqual([`${runId}/s${step} 1`, `${runId}/s${step} 1`]);
    }
    expect(await effects()).toBe(runs * steps);
    expect(await engine.rig.system.sql`select path from kos.steps where attempt > 1 and run_id in ${engine.rig.system.sql(ids)}`).toHaveLength(0);
  });
});

describe('a unit of quick steps', () => {
  it('has an activity after all when it takes longer than a task of the workflow should, which joins what is under way', async () => {
    const file = join(engine.home, 'not-so-quick.txt');
    const run = await engine.run(
      chain('not-so-quick', [
        `tool: test.repeat, with: { file: "${file}" }`,
        `tool: test.repeat, with: { file: "${file}", waitMs: 2500 }`,
        `tool: test.repeat, with: { file: "${file}" }`,
      ]),
    );
    expect(run).toMatchObject({ status: 'succeeded', error: null });
    expect(await linesOf('not-so-quick.txt')).toEqual([0, 1, 2].map((step) => `${run.id}/s${step} 1`));
    expect({ activities: await activitiesOf(run.id), quick: await quickUnitsOf(run.id) }).toEqual({ activities: 1, quick: 1 });
    const effects = await engine.rig.system.sql<{ status: string; calls: number }[]>`select status, calls from kos.effects where run_id = ${run.id}`;
    expect(effects).toEqual(Array(3).fill({ status: 'happened', calls: 1 }));
  });

  it('is cancelled as any other', async () => {
    const file = join(engine.home, 'quick-cancelled.txt');
    const runId = await engine.start(
      await engine.save(chain('quick-cancelled', Array<string>(6).fill(`tool: test.repeat, with: { file: "${file}", waitMs: 400 }`))),
    );
    await engine.untilStep(runId, 's0', 'succeeded');
    await engine.cancel(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    expect((await linesOf('quick-cancelled.txt')).length).toBeLessThan(6);
  });

  it('leaves a failed attempt to be tried again at its time, and goes on behind it', async () => {
    const run = await engine.run(
      'plan: quick-retry\nsteps:\n  one: { transform: 1 }\n  two: { transform: "${[1, 2][steps.one.output + 4]}", retry: { maxAttempts: 2, initialDelayMs: 50 }, onError: { value: 7 } }\n  three: { transform: "${steps.two.output + 1}" }\noutput: "${steps.three.output}"\n',
    );
    expect(run).toMatchObject({ status: 'succeeded', output: 8 });
    expect(await activitiesOf(run.id)).toBe(0);
  });

  it('has an activity in a plan with fuse: none, that Temporal shows', async () => {
    const run = await engine.run('plan: shown\nfuse: none\nsteps:\n  one: { transform: 1 }\n  two: { transform: "${steps.one.output}" }\n');
    expect({ activities: await activitiesOf(run.id), quick: await quickUnitsOf(run.id) }).toEqual({ activities: 2, quick: 0 });
  });
});
