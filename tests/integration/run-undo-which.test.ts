import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forkRun } from '#services/runs/actions/fork.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { overrideStep } from '#services/runs/actions/steps-by-hand.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { acceptRun } from '#services/runs/accept.ts';
import { historiesOf } from '#tests/rig/replay.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const file = (name: string): string => join(engine.home, name);
const note = (name: string, text: string, more = ''): string => `{ tool: test.note, with: { file: "${file(name)}", text: "${text}" }${more}`;
const undo = (name: string, text: string): string => `undo: ${note(name, text)} }`;
const failing = '{ tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }';

const undone = async (name: string): Promise<string[]> =>
  (await engine.linesOf(name)).filter((line) => line.includes('~undo')).map((line) => line.replace(/^.*~undo /, ''));

describe('what is undone, and in which order', () => {
  it('is as the steps need each other, where their ends fall into one millisecond', async () => {
    const name = 'same-time';
    const runId = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  last: ${note(name, 'a', ', needs: [middle]')}, ${undo(name, 'last')} }
  middle: ${note(name, 'b', ', needs: [first]')}, ${undo(name, 'middle')} }
  first: ${note(name, 'c')}, ${undo(name, 'first')} }
  ask: { approval: { message: "Go on?" }, needs: [last] }
`),
    );
    await engine.until(runId, ({ status }) => status === 'waiting');
    await engine.rig.system.sql`update kos.steps set finished_at = now() where run_id = ${runId} and status = 'succeeded'`;
    await engine.cancel(runId);
    await engine.ended(runId);
    expect(await undone(name)).toEqual(['last', 'middle', 'first']);
  });

  it('holds for steps that shared an activity', async () => {
    const name = 'fused';
    const run = await engine.run(`
plan: ${name}
fuse: effects
steps:
  one: ${note(name, 'one')}, ${undo(name, 'one')} }
  two: ${note(name, 'two', ', needs: [one]')}, ${undo(name, 'two')} }
  three: ${note(name, 'three', ', needs: [two]')}, ${undo(name, 'three')} }
  last: ${failing}, needs: [three] }
`);
    expect(run.status).toBe('failed');
    expect(await undone(name)).toEqual(['three', 'two', 'one']);
  });

  it('holds when the time of the run is over', async () => {
    const name = 'timed-out';
    const run = await engine.run(`
plan: ${name}
timeoutMs: 1500
steps:
  one: ${note(name, 'one')}, undo: { tool: test.note, with: { file: "${file(name)}", text: one, waitMs: 1700 } } }
  long: { wait: { forMs: 600000 }, needs: [one] }
`);
    expect(run).toMatchObject({
      status: 'failed',
      ending: 'timed_out',
      error: { code: 'run_timeout', message: expect.stringMatching(/What 1 step had done was undone\.$/) },
    });
    expect(await undone(name)).toEqual(['one']);
  });

  it('is what a fallback did, and what a person said that a step has done; not what failed', async () => {
    const name = 'stood-in';
    const runId = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  first: ${failing}, onError: { step: second }, ${undo(name, 'first')} }
  second: ${note(name, 'second')}, ${undo(name, 'second')} }
  byHand: ${note(name, 'never', ', retry: { maxAttempts: 9, initialDelayMs: 600000, maximumDelayMs: 600000 }').replace('text: "never"', 'text: "never", failures: 9')}, ${undo(name, 'by hand ${output.id}')} }
  ask: { approval: { message: "Go on?" }, needs: [second, byHand] }
`),
    );
    await engine.untilStep(runId, 'second', 'succeeded');
    await engine.untilStep(runId, 'byHand', 'retrying');
    await engine.act(runId, async (transaction, change) =>
      overrideStep(transaction, { ...change, path: 'byHand', output: { id: 'x' }, reason: 'done' }, await readStepFacts(transaction, runId, 'byHand')),
    );
    await engine.untilStep(runId, 'ask', 'waiting');
    await engine.cancel(runId);
    await engine.ended(runId);
    expect(await undone(name)).toEqual(['by hand x', 'second']);
  });

  it('is not what another run did, whose steps a fork carries over', async () => {
    const name = 'forked';
    const source = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  carried: ${note(name, 'carried')}, ${undo(name, 'carried')} }
  again: ${note(name, 'again', ', needs: [carried]')}, ${undo(name, 'again')} }
  ask: { approval: { message: "Go on?" }, needs: [again] }
`),
    );
    await engine.untilStep(source, 'ask', 'waiting');
    const { database } = engine.rig;
    const accepting = { database, validateInput: engine.evaluator.validateInput, evaluate: engine.evaluator.evaluate };
    const { runId } = await forkRun(
      { database, acceptRun: (request) => acceptRun(accepting, request) },
      { principal: { workspaceId: engine.workspaceId, principalId: 'prn_test', responsible: 'prn_test' }, runId: source, from: 'again', reason: null },
    );
    engine.runIds.push(runId);
    engine.nudge();
    await engine.untilStep(runId, 'ask', 'waiting');
    await engine.cancel(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled', error: { message: expect.stringMatching(/What 1 step had done was undone\.$/) } });
    expect(await undone(name)).toEqual(['again']);
    await engine.cancel(source);
    await engine.ended(source);
    expect(await undone(name)).toEqual(['again', 'again', 'carried']);
  });

  it('leaves out what was cut off without an answer, and says so', async () => {
    const name = 'cut-off';
    const runId = await engine.start(
      await engine.save(`plan: ${name}\nsteps:\n  only: { tool: test.repeat, with: { file: "${file(name)}", waitMs: 60000 }, ${undo(name, 'never')} }\n`),
    );
    await expect.poll(() => engine.linesOf(name), { timeout: 60_000 }).toHaveLength(1);
    await engine.cancel(runId, 'enough');
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      ending: null,
      error: { message: 'The run was cancelled by prn_test: enough. Not undone, though the effect may have happened: only.' },
    });
    expect(await undone(name)).toEqual([]);
  });
});

describe('a run that was stopped while it undid', () => {
  it('goes on with that when it is retried, and ends as it would have', async () => {
    const name = 'stopped';
    const runId = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  one: ${note(name, 'one')}, ${undo(name, 'one')} }
  two: ${note(name, 'two', ', needs: [one]')}, undo: { tool: test.note, with: { file: "${file(name)}", text: two, waitMs: 3000 } } }
  last: ${failing}, needs: [two] }
`),
    );
    await engine.untilStep(runId, 'two~undo', 'running');
    await engine.act(runId, (transaction, change) => terminateRun(transaction, { ...change, reason: 'too slow' }));
    expect(await engine.statusesOf(runId)).toContainEqual(['two~undo', 'cancelled']);
    await engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: null }));
    expect(await engine.ended(runId)).toMatchObject({
      status: 'failed',
      error: { code: 'told_to_fail', message: 'It failed as it was told. What 2 steps had done was undone.' },
    });
    expect(new Set(await undone(name))).toEqual(new Set(['two', 'one']));
    await expect(engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: null }))).rejects.toMatchObject({
      code: 'run_compensated',
    });
  });
});

describe('a run that undoes for so long that its history is begun anew', () => {
  it('goes on where it was, though it was cancelled', async () => {
    const name = 'continued';
    const runId = await engine.start(
      await engine.save(`
plan: ${name}
steps:
  each:
    tool: test.note
    forEach: "\${range(130)}"
    concurrency: 40
    with: { file: "${file(name)}", text: "\${string(item)}" }
    undo: { tool: test.note, with: { file: "${file(name)}", text: "\${string(item)}", failures: 1 }, retry: { initialDelayMs: 1 } }
  ask: { approval: { message: "Go on?" }, needs: [each] }
`),
    );
    await engine.untilStep(runId, 'ask', 'waiting');
    await engine.cancel(runId, 'enough');
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: enough. What 130 steps had done was undone.' },
    });
    expect(new Set(await undone(name)).size).toBe(130);
    expect(await undone(name)).toHaveLength(130);
    const executions = [];
    for await (const execution of historiesOf(engine, [runId])) executions.push(execution);
    expect(executions.length).toBeGreaterThan(1);
  });
});
