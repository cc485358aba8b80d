import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { overrideStep, resolveStep, skipStep } from '#services/runs/actions/steps-by-hand.ts';
import { explainRun } from '#services/runs/explain.ts';
import { listSteps } from '#services/runs/read-steps.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const statuses = async (runId: string): Promise<string[]> => (await engine.statusesOf(runId)).map(([path, status]) => `${path} ${status}`);

describe('a step that repeats', () => {
  it('runs in rounds, each a row of its own, and puts out what the last one did', async () => {
    const run = await engine.run(`
plan: doubling
steps:
  grow: { transform: "\${last == null ? 1 : last * 2}", repeat: { until: "\${output > 100}", maxIterations: 50 } }
  told: { transform: "\${steps.grow.output}" }
output: "\${steps.told.output}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: 128 });
    expect(await statuses(run.id)).toEqual(['grow', ...Array.from({ length: 8 }, (_, n) => `grow#${n}`), 'told'].map((path) => `${path} succeeded`));
  });

  it('goes on while its condition holds, and sees iteration, last and the steps before', async () => {
    const run = await engine.run(`
plan: counting
steps:
  most: { transform: 3 }
  count: { transform: { n: "\${iteration}", before: "\${last}" }, repeat: { while: "\${iteration < steps.most.output && output.n == iteration}", maxIterations: 50 } }
output: "\${steps.count.output.before.before.before}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: { n: 0, before: null } });
  });

  it('fails when its rounds were not enough; with onExhausted: continue it goes on with what it has', async () => {
    const source = (more: string): string =>
      `plan: never\nsteps:\n  only: { transform: "\${iteration}", repeat: { until: "\${false}", maxIterations: 4${more} } }\noutput: "\${steps.only.output}"\n`;
    const failed = await engine.run(source(''));
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'repeat_exhausted', stepPath: 'only' } });
    expect(await engine.run(source(', onExhausted: continue'))).toMatchObject({ status: 'succeeded', output: 3 });
  });

  it('pauses between its rounds, and says so', async () => {
    const file = join(engine.home, 'pauses.txt');
    const runId = await engine.start(
      await engine.save(
        `plan: pauses\nsteps:\n  poll: { tool: test.repeat, with: { file: "${file}" }, repeat: { until: "\${iteration == 2}", maxIterations: 9, everyMs: 1500 } }\n`,
      ),
    );
    await engine.untilStep(runId, 'poll', 'waiting');
    const run = await engine.until(runId, ({ status }) => status === 'waiting');
    expect(run.waitingFor).toMatchObject({ kind: 'timer', text: expect.stringContaining('of at most 9 rounds') });
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.linesOf('pauses.txt')).toEqual([0, 1, 2].map((n) => `${runId}/poll#${n} 1`));
  });

  it('tries a round that failed again by its retry policy', async () => {
    const run = await engine.run(`
plan: flaky
steps:
  poll: { tool: test.fail, with: { times: "\${iteration}" }, retry: { maxAttempts: 3, initialDelayMs: 10 }, repeat: { until: "\${iteration == 2}", maxIterations: 9 } }
output: "\${steps.poll.output.attempt}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: 3 });
    expect((await engine.steps(run.id)).map(({ path, attempt }) => `${path} ${attempt}`).toSorted()).toEqual(['poll 1', 'poll#0 1', 'poll#1 2', 'poll#2 3']);
  });

  it('ends by its onError when a round fails for good', async () => {
    const source = (onError: string): string => `
plan: breaks
steps:
  poll: { tool: test.fail, with: { times: "\${iteration == 1 ? 9 : 0}" }, retry: { maxAttempts: 1 }, repeat: { until: "\${iteration == 2}", maxIterations: 9 }, onError: ${onError} }
output: "\${steps.poll.output}"
`;
    expect(await engine.run(source('fail'))).toMatchObject({ status: 'failed', error: { code: 'told_to_fail', stepPath: 'poll#1' } });
    expect(await engine.run(source('{ value: "${error.code}" }'))).toMatchObject({ status: 'succeeded', output: 'told_to_fail' });
  });

  it('repeats for each item', async () => {
    const run = await engine.run(`
plan: both
steps:
  each: { transform: "\${item + iteration}", forEach: [10, 20], repeat: { until: "\${iteration == index}", maxIterations: 9 } }
output: "\${steps.each.output}"
`);
    expect(run).toMatchObject({ status: 'succeeded', output: [10, 21] });
    expect((await statuses(run.id)).toSorted()).toEqual(
      ['each', 'each[0]', 'each[0]#0', 'each[1]', 'each[1]#0', 'each[1]#1'].map((path) => `${path} succeeded`),
    );
  });

  it('repeats for each line of an artifact, and may reuse what rounds of an earlier run put out', async () => {
    const source = `
plan: lines
steps:
  list: { artifact: { name: list.txt, content: "a\\nb" } }
  each:
    transform: "\${item}"
    forEach: { artifact: "\${steps.list.output.artifactId}", lines: text }
    cache: { ttlMs: 60000 }
    repeat: { until: "\${iteration == 2 && output == item}", maxIterations: 9 }
output: "\${steps.each.output}"
`;
    const reused = async (runId: string) => (await engine.steps(runId)).filter(({ metadata }) => 'reusedFrom' in metadata).length;
    const first = await engine.run(source);
    expect(first).toMatchObject({ status: 'succeeded', output: ['a', 'b'] });
    expect(await reused(first.id)).toBe(0);
    const second = await engine.run(source);
    expect(second).toMatchObject({ status: 'succeeded', output: ['a', 'b'] });
    expect(await reused(second.id)).toBe(6);
  });

  it('more often than one activity takes on', async () => {
    const run = await engine.run(
      'plan: many\nsteps:\n  only: { transform: "${iteration}", repeat: { until: "${output == 699}", maxIterations: 10000 } }\noutput: "${steps.only.output}"\n',
    );
    expect(run).toMatchObject({ status: 'succeeded', output: 699 });
  });
});

describe('what people do to a step that repeats', () => {
  const reason = null;
  const pollPlan = (name: string, more = ''): string =>
    `plan: ${name}\nsteps:\n  poll: { tool: test.rest, with: { waitMs: 30 }, repeat: { until: "\${iteration == 20}", maxIterations: 30${more} } }\noutput: "\${steps.poll.status}"\n`;

  it('a pause holds the next round, its end lets it begin', async () => {
    const runId = await engine.start(await engine.save(pollPlan('held')));
    await engine.untilStep(runId, 'poll#3', 'succeeded');
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason }));
    await expect.poll(async () => (await engine.steps(runId)).filter(({ status, path }) => status === 'running' && path !== 'poll')).toEqual([]);
    const held = (await engine.steps(runId)).length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await engine.steps(runId)).length).toBe(held);
    expect(held).toBeLessThan(20);
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason }));
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await engine.steps(runId)).toHaveLength(22);
  });

  it('a cancel ends it between two rounds, and a retry goes on behind the last', async () => {
    const runId = await engine.start(await engine.save(pollPlan('cancelled')));
    await engine.untilStep(runId, 'poll#2', 'succeeded');
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    const before = await engine.steps(runId);
    expect(before.find(({ path }) => path === 'poll')?.status).toBe('cancelled');
    await engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason }));
    expect((await engine.until(runId, ({ status }) => status === 'succeeded')).output).toBe('succeeded');
    const after = await engine.steps(runId);
    for (const round of before.filter(({ status }) => status === 'succeeded')) expect(after.find(({ path }) => path === round.path)).toEqual(round);
  });

  it('a retry after too few rounds gives as many again', async () => {
    const source =
      'plan: again\nsteps:\n  only: { transform: "${iteration}", repeat: { until: "${output == 6}", maxIterations: 4 } }\noutput: "${steps.only.output}"\n';
    const run = await engine.run(source);
    expect(run.error?.code).toBe('repeat_exhausted');
    await engine.act(run.id, (transaction, change) => retryRun(transaction, { ...change, reason }));
    expect(await engine.until(run.id, ({ status }) => status === 'succeeded')).toMatchObject({ output: 6 });
  });

  it('its output may be given while it pauses; a round may be overridden, and not skipped', async () => {
    const runId = await engine.start(await engine.save(pollPlan('given', ', everyMs: 600000')));
    await engine.untilStep(runId, 'poll', 'waiting');
    const step = (path: string) => engine.act(runId, (transaction) => readStepFacts(transaction, runId, path));
    const why = await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));
    expect(why.reasons.find(({ stepPath }) => stepPath === 'poll')).toMatchObject({
      blockedBy: { kind: 'timer', text: expect.stringContaining('1 of at most 30 rounds') },
    });
    const round = await step('poll#0');
    await expect(engine.act(runId, (transaction, change) => skipStep(transaction, { ...change, path: 'poll#0', reason: 'no' }, round))).rejects.toMatchObject({
      code: 'round_not_skippable',
    });
    await expect(step('poll[0]#0')).rejects.toMatchObject({ code: 'step_not_found' });
    const whole = await step('poll');
    await engine.act(runId, (transaction, change) => overrideStep(transaction, { ...change, path: 'poll', reason: 'enough', output: { at: 1 } }, whole));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'succeeded' });
  });

  it('an uncertain round holds the run until somebody says what came of it; then the next one follows', async () => {
    const file = join(engine.home, 'uncertain.txt');
    const runId = await engine.start(
      await engine.save(`
plan: uncertain
steps:
  send: { tool: test.append, with: { file: "${file}", waitMs: "\${iteration == 1 ? 60000 : 0}" }, timeoutMs: 500, repeat: { until: "\${iteration == 2}", maxIterations: 5 } }
output: "\${steps.send.status}"
`),
    );
    await engine.untilStep(runId, 'send', 'uncertain');
    const run = await engine.until(runId, ({ status }) => status === 'waiting');
    expect(run.waitingFor?.text).toContain('send#1');
    const why = await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));
    expect(why.reasons.find(({ stepPath }) => stepPath === 'send')?.command).toContain("'send#1'");
    const whole = await engine.act(runId, (transaction) => readStepFacts(transaction, runId, 'send'));
    const happened = { outcome: 'happened', output: { at: 1 } } as const;
    await expect(
      engine.act(runId, (transaction, change) => resolveStep(transaction, { ...change, path: 'send', reason: 'seen' }, whole, happened)),
    ).rejects.toMatchObject({
      code: 'round_meant',
    });
    const round = await engine.act(runId, (transaction) => readStepFacts(transaction, runId, 'send#1'));
    await engine.act(runId, (transaction, change) => resolveStep(transaction, { ...change, path: 'send#1', reason: 'seen' }, round, happened));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded' });
    expect(await engine.linesOf('uncertain.txt')).toEqual([0, 1, 2].map((n) => `${runId}/send#${n}`));
  });

  it('a round that failed, or is uncertain, may be given its output: the next one follows', async () => {
    const override = async (runId: string, path: string): Promise<void> => {
      const round = await engine.act(runId, (transaction) => readStepFacts(transaction, runId, path));
      await engine.act(runId, (transaction, change) => overrideStep(transaction, { ...change, path, reason: 'known', output: { at: 7 } }, round));
    };
    const plan = (name: string, tool: string): string => `
plan: ${name}
steps:
  pay: { ${tool}, retry: { maxAttempts: 1 }, timeoutMs: 500, repeat: { until: "\${iteration == 2}", maxIterations: 5 } }
output: "\${steps.pay.status}"
`;
    const failed = await engine.run(plan('failed-round', `tool: test.fail, with: { times: "\${iteration == 1 ? 9 : 0}" }`));
    expect(failed).toMatchObject({ status: 'failed', error: { stepPath: 'pay#1' } });
    await override(failed.id, 'pay#1');
    await engine.act(failed.id, (transaction, change) => retryRun(transaction, { ...change, reason }));
    expect(await engine.until(failed.id, ({ status }) => status === 'succeeded')).toMatchObject({ output: 'succeeded' });
    const file = join(engine.home, 'given.txt');
    const runId = await engine.start(
      await engine.save(plan('uncertain-round', `tool: test.append, with: { file: "${file}", waitMs: "\${iteration == 1 ? 60000 : 0}" }`)),
    );
    await engine.untilStep(runId, 'pay', 'uncertain');
    await override(runId, 'pay#1');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded' });
    expect(await engine.linesOf('given.txt')).toEqual([0, 1, 2].map((n) => `${runId}/pay#${n}`));
  });

  it('uncertain rounds of items are resolved one by one', async () => {
    const file = join(engine.home, 'uncertain-items.txt');
    const runId = await engine.start(
      await engine.save(`
plan: uncertain-items
steps:
  send: { tool: test.append, forEach: [0, 1], with: { file: "${file}", waitMs: "\${iteration == 1 ? 60000 : 0}" }, timeoutMs: 500, repeat: { until: "\${iteration == 2}", maxIterations: 5 } }
output: "\${size(steps.send.output)}"
`),
    );
    await engine.untilStep(runId, 'send', 'uncertain');
    for (const path of ['send[0]#1', 'send[1]#1']) {
      const round = await engine.act(runId, (transaction) => readStepFacts(transaction, runId, path));
      await engine.act(runId, (transaction, change) =>
        resolveStep(transaction, { ...change, path, reason: 'seen' }, round, { outcome: 'happened', output: { at: 1 } }),
      );
    }
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 2 });
    expect((await engine.linesOf('uncertain-items.txt')).toSorted()).toEqual([0, 1].flatMap((item) => [0, 1, 2].map((n) => `${runId}/send[${item}]#${n}`)));
  });

  it('lists page through its rounds in their order', async () => {
    const run = await engine.run(
      'plan: paged\nsteps:\n  poll: { transform: "${iteration}", repeat: { until: "${iteration == 11}", maxIterations: 30 } }\n  after: { transform: "${steps.poll.output}" }\n',
    );
    const paths: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const page = await engine.act(run.id, (transaction) => listSteps(transaction, run.id, { statuses: null, cursor, limit: 5 }));
      paths.push(...page.items.map(({ path }) => path));
      cursor = page.nextCursor;
      if (cursor === null) break;
    }
    expect(paths).toEqual(['poll', ...Array.from({ length: 12 }, (_, n) => `poll#${n}`), 'after']);
  });
});
