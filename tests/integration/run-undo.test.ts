import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { overrideStep, type Resolution, resolveStep, skipStep } from '#services/runs/actions/steps-by-hand.ts';
import { readStepFacts } from '#services/runs/actions/step-definition.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { requestCancel } from '#services/runs/change.ts';
import { explainRun } from '#services/runs/explain.ts';
import { listSteps } from '#services/runs/read-steps.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const file = (name: string): string => join(engine.home, name);

/** What was traced, without the run's id. */
const traces = async (runId: string, name: string): Promise<string[]> => (await engine.linesOf(name)).map((line) => line.replace(`${runId}/`, ''));

/** Three bookings, one after the other, each of which can be taken back; then what `last` says. */
const bookings = (name: string, last: string, { undo = '', more = '' } = {}): string => `
plan: ${name}
steps:
  hotel: { tool: test.note, with: { file: "${file(name)}", text: hotel }, undo: { tool: test.note, with: { file: "${file(name)}", text: "un-\${output.id}" } } }
  flight:
    tool: test.note
    with: { file: "${file(name)}", text: flight }
    needs: [hotel]
    undo: { tool: test.note, with: { file: "${file(name)}", text: "un-\${output.id}"${undo} }${more} }
  car: { tool: test.note, with: { file: "${file(name)}", text: car }, needs: [flight], undo: { tool: test.note, with: { file: "${file(name)}", text: "un-\${output.id}" } } }
  last: ${last}
`;

const failing = '{ tool: test.fail, with: { times: 9, message: no more }, retry: { maxAttempts: 1 }, needs: [car] }';
const waiting = '{ approval: { message: "Go on?" }, needs: [car] }';

const act = {
  retry: (runId: string) => engine.act(runId, (transaction, change) => retryRun(transaction, { ...change, reason: null })),
  resolve: (runId: string, path: string, resolution: Resolution) =>
    engine.act(runId, async (transaction, change) =>
      resolveStep(transaction, { ...change, path, reason: 'looked' }, await readStepFacts(transaction, runId, path), resolution),
    ),
  skip: (runId: string, path: string) =>
    engine.act(runId, async (transaction, change) =>
      skipStep(transaction, { ...change, path, reason: 'it may stay' }, await readStepFacts(transaction, runId, path)),
    ),
  override: (runId: string, path: string, output: { id: string }) =>
    engine.act(runId, async (transaction, change) =>
      overrideStep(transaction, { ...change, path, output, reason: 'done by hand' }, await readStepFacts(transaction, runId, path)),
    ),
};

const events = (runId: string) =>
  engine.rig.system.sql<{ type: string; path: string | null }[]>`
    select type, data->>'stepPath' as path from kos.events where run_id = ${runId} order by at, id`;

const why = (runId: string) => engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));

describe('a run that fails', () => {
  it('takes back what its steps did, the last first, each once and under its own key', async () => {
    const run = await engine.run(bookings('fails', failing));
    expect(run).toMatchObject({
      status: 'failed',
      ending: 'failed',
      error: { code: 'told_to_fail', stepPath: 'last', message: 'no more. What 3 steps had done was undone.' },
    });
    expect(await traces(run.id, 'fails')).toEqual([
      'hotel hotel',
      'flight flight',
      'car car',
      'car~undo un-car!',
      'flight~undo un-flight!',
      'hotel~undo un-hotel!',
    ]);
    expect(await engine.statusesOf(run.id)).toEqual(
      expect.arrayContaining([
        ['hotel', 'compensated'],
        ['hotel~undo', 'succeeded'],
        ['flight', 'compensated'],
        ['flight~undo', 'succeeded'],
        ['car', 'compensated'],
        ['car~undo', 'succeeded'],
        ['last', 'failed'],
      ]),
    );
    const effects = await engine.rig.system.sql`select key, status, calls from kos.effects where run_id = ${run.id} and step_path = 'car~undo'`;
    expect(effects).toEqual([{ key: `${run.id}/car~undo`, status: 'happened', calls: 1 }]);
  });

  it('tells so: in its steps, its events and the audit log', async () => {
    const run = await engine.run(bookings('told', failing));
    const listed = await engine.act(run.id, (transaction) => listSteps(transaction, run.id, { statuses: null, cursor: null, limit: 3 }));
    const rest = await engine.act(run.id, (transaction) => listSteps(transaction, run.id, { statuses: null, cursor: listed.nextCursor, limit: 10 }));
    expect([...listed.items, ...rest.items].map(({ path, status }) => `${path} ${status}`)).toEqual([
      'hotel compensated',
      'hotel~undo succeeded',
      'flight compensated',
      'flight~undo succeeded',
      'car compensated',
      'car~undo succeeded',
      'last failed',
    ]);
    expect(listed.items[0]).toMatchObject({ output: { id: 'hotel!' } });
    const told = (await events(run.id)).map(({ type, path }) => (path === null ? type : `${type} ${path}`));
    expect(told.slice(told.indexOf('run.compensating'))).toEqual([
      'run.compensating',
      'step.started car~undo',
      'step.succeeded car~undo',
      'step.compensated car',
      'step.started flight~undo',
      'step.succeeded flight~undo',
      'step.compensated flight',
      'step.started hotel~undo',
      'step.succeeded hotel~undo',
      'step.compensated hotel',
      'run.failed',
    ]);
    const audit = await engine.audit(run.id);
    expect(audit.map(({ action }) => action)).toContain('run.compensate');
    expect(audit.filter(({ action, data }) => action === 'effect.intended' && data['stepPath'] === 'car~undo')).toHaveLength(1);
  });

  it('leaves alone what it has not done, and what nothing takes back', async () => {
    const run = await engine.run(`
plan: only-some
steps:
  kept: { tool: test.note, with: { file: "${file('only-some')}", text: kept } }
  skipped: { tool: test.note, when: "\${false}", with: { file: "${file('only-some')}", text: no }, undo: { tool: test.note, with: { file: "${file('only-some')}", text: never } } }
  failing: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [kept], undo: { tool: test.note, with: { file: "${file('only-some')}", text: never } } }
`);
    expect(run).toMatchObject({ status: 'failed', ending: null, error: { message: 'It failed as it was told.' } });
    expect(await traces(run.id, 'only-some')).toEqual(['kept kept']);
  });

  it('succeeds without a word of undoing when nothing fails', async () => {
    const run = await engine.run(bookings('succeeds', '{ transform: 1, needs: [car] }'));
    expect(run).toMatchObject({ status: 'succeeded', ending: null });
    expect(await engine.linesOf('succeeds')).toHaveLength(3);
  });

  it('undoes items and rounds one by one; each sees what it was', async () => {
    const name = 'items';
    const run = await engine.run(`
plan: ${name}
steps:
  each:
    tool: test.note
    forEach: [a, b]
    concurrency: 1
    with: { file: "${file(name)}", text: "\${item}" }
    undo: { tool: test.note, with: { file: "${file(name)}", text: "\${index}-\${item}-\${output.id}" } }
  rounds:
    tool: test.note
    needs: [each]
    with: { file: "${file(name)}", text: "\${string(iteration)}" }
    repeat: { until: "\${iteration == 1}", maxIterations: 5 }
    undo: { tool: test.note, with: { file: "${file(name)}", text: "\${iteration}-\${output.id}-\${size(steps.each.output)}" } }
  last: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [rounds] }
`);
    expect(run).toMatchObject({ status: 'failed', error: { message: 'It failed as it was told. What 4 steps had done was undone.' } });
    expect((await traces(run.id, name)).slice(4)).toEqual(['rounds#1~undo 1-1!-2', 'rounds#0~undo 0-0!-2', 'each[1]~undo 1-b-b!', 'each[0]~undo 0-a-a!']);
    const statuses = new Map(await engine.statusesOf(run.id));
    expect([statuses.get('each'), statuses.get('each[0]'), statuses.get('rounds'), statuses.get('rounds#1')]).toEqual(Array(4).fill('compensated'));
  });
});

describe('a run that is cancelled', () => {
  it('takes back what it did, and keeps the reason', async () => {
    const runId = await engine.start(await engine.save(bookings('cancelled', waiting)));
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.cancel(runId, 'the customer has changed her mind');
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: the customer has changed her mind. What 3 steps had done was undone.' },
    });
    expect((await traces(runId, 'cancelled')).slice(3)).toEqual(['car~undo un-car!', 'flight~undo un-flight!', 'hotel~undo un-hotel!']);
    // What waited was voided before anything was taken back.
    const order = (await events(runId)).map(({ type }) => type);
    expect(order.indexOf('approval.voided')).toBeLessThan(order.indexOf('step.started', order.indexOf('run.compensating')));
  });

  it('leaves everything where that is asked for', async () => {
    const runId = await engine.start(await engine.save(bookings('left', waiting)));
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.act(runId, (transaction, change) => requestCancel(transaction, { ...change, reason: 'enough', undo: false }));
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      ending: null,
      error: { message: 'The run was cancelled by prn_test: enough. What 3 steps had done stays.' },
    });
    expect(await engine.linesOf('left')).toHaveLength(3);
  });

  it('undoes nothing when it is terminated', async () => {
    const runId = await engine.start(await engine.save(bookings('terminated', waiting)));
    await engine.until(runId, (run) => run.status === 'waiting');
    await engine.act(runId, (transaction, change) => terminateRun(transaction, { ...change, reason: null }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'terminated', ending: null });
    expect(await engine.linesOf('terminated')).toHaveLength(3);
  });
});

describe('an undo that fails', () => {
  it('is tried again by its own policy', async () => {
    const run = await engine.run(bookings('again', failing, { undo: ', failures: 2', more: ', retry: { maxAttempts: 3, initialDelayMs: 10 }' }));
    expect(run).toMatchObject({ status: 'failed', error: { message: 'no more. What 3 steps had done was undone.' } });
    expect((await engine.steps(run.id)).find(({ path }) => path === 'flight~undo')).toMatchObject({ status: 'succeeded', attempt: 3 });
    expect((await traces(run.id, 'again')).slice(3)).toEqual(['car~undo un-car!', 'flight~undo un-flight!', 'hotel~undo un-hotel!']);
  });

  it('holds up no other; its run names it, and a retry tries it again', async () => {
    const name = 'fails-for-good';
    const run = await engine.run(bookings(name, failing, { undo: ', failures: 2', more: ', retry: { maxAttempts: 1 }' }));
    expect(run).toMatchObject({
      status: 'failed',
      error: {
        code: 'told_to_fail',
        message: 'no more. What 2 steps had done was undone. 1 undo did not succeed: flight~undo (told_to_fail: It failed as it was told.).',
        fix: `Try what was not undone again: kai run retry ${run.id}`,
      },
    });
    expect((await traces(run.id, name)).slice(3)).toEqual(['car~undo un-car!', 'hotel~undo un-hotel!']);
    await expect(engine.cancel(run.id)).rejects.toMatchObject({ code: 'run_final', fix: expect.stringContaining(`kai run retry ${run.id}`) });
    await act.retry(run.id);
    expect(await engine.ended(run.id)).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('1 undo did not succeed') } });
    // A person has done it instead.
    await act.override(run.id, 'flight~undo', { id: 'by hand' });
    expect(await engine.statusesOf(run.id)).toContainEqual(['flight', 'compensated']);
    await expect(act.retry(run.id)).rejects.toMatchObject({ code: 'run_compensated', status: 409 });
    await expect(engine.cancel(run.id)).rejects.toMatchObject({ code: 'run_final', fix: `It was undone. Begin anew: kai run replay ${run.id}` });
  });

  it('is not said to be retried from where its rounds were not enough', async () => {
    const polled = '{ tool: test.rest, with: { waitMs: 0 }, repeat: { until: "${false}", maxIterations: 1 }, needs: [car] }';
    const { error } = await engine.run(bookings('exhausted', polled));
    expect(error).toMatchObject({ code: 'repeat_exhausted', fix: 'Raise maxIterations, or let onExhausted be continue.' });
  });

  it('that was skipped stays so: a retry says what was not undone', async () => {
    const run = await engine.run(bookings('skipped-undo', failing, { undo: ', failures: 9', more: ', retry: { maxAttempts: 1 }' }));
    await act.skip(run.id, 'flight~undo');
    await expect(act.retry(run.id)).rejects.toMatchObject({
      code: 'run_compensated',
      message: `The run ${run.id} has undone what it did, but for one step, whose undo was skipped: it cannot go on from there.`,
      fix: `Begin anew: kai run replay ${run.id}`,
    });
  });

  it('waits for its time where `kai run why` can see it, and is left where somebody says so', async () => {
    const name = 'rests';
    const runId = await engine.start(
      await engine.save(
        bookings(name, failing, { undo: ', failures: 99', more: ', retry: { maxAttempts: 99, initialDelayMs: 600000, maximumDelayMs: 600000 }' }),
      ),
    );
    const run = await engine.until(runId, ({ status }) => status === 'waiting');
    expect(run).toMatchObject({ ending: 'failed', waitingFor: { kind: 'retry', ref: 'flight~undo' } });
    const { reasons } = await why(runId);
    expect(reasons).toEqual([
      expect.objectContaining({ stepPath: null, blockedBy: expect.objectContaining({ kind: 'ending', text: expect.stringContaining('1 of 3') }) }),
      expect.objectContaining({
        stepPath: 'flight~undo',
        blockedBy: expect.objectContaining({ kind: 'retry' }),
        command: expect.stringContaining('flight~undo'),
      }),
    ]);
    await expect(act.override(runId, 'last', { id: 'x' })).rejects.toMatchObject({ code: 'run_compensating', status: 409 });
    await act.skip(runId, 'flight~undo');
    expect(await engine.ended(runId)).toMatchObject({
      status: 'failed',
      error: { message: 'no more. What 2 steps had done was undone. What 1 step had done stays.' },
    });
    expect((await traces(runId, name)).slice(3)).toEqual(['car~undo un-car!', 'hotel~undo un-hotel!']);
  });
});

describe('what people do while a run undoes', () => {
  const slow = { undo: ', waitMs: 1500' };

  it('a cancel does not stop it, and is what it ends by', async () => {
    const runId = await engine.start(await engine.save(bookings('cancel-during', failing, slow)));
    await engine.untilStep(runId, 'flight~undo', 'running');
    await engine.cancel(runId, 'enough');
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: enough. What 3 steps had done was undone.' },
    });
    expect((await traces(runId, 'cancel-during')).slice(3)).toEqual(['car~undo un-car!', 'flight~undo un-flight!', 'hotel~undo un-hotel!']);
  });

  it('a cancel that leaves what was done ends it behind the undo that runs', async () => {
    const runId = await engine.start(
      await engine.save(
        bookings('leave-during', failing, { undo: ', failures: 99', more: ', retry: { maxAttempts: 99, initialDelayMs: 600000, maximumDelayMs: 600000 }' }),
      ),
    );
    await engine.untilStep(runId, 'flight~undo', 'retrying');
    await engine.act(runId, (transaction, change) => requestCancel(transaction, { ...change, reason: 'enough', undo: false }));
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: enough. What 1 step had done was undone. What 2 steps had done stays.' },
    });
  });

  it('a second cancel may say that the rest stays; the reason is that of the first', async () => {
    const resting = { undo: ', failures: 99', more: ', retry: { maxAttempts: 99, initialDelayMs: 600000, maximumDelayMs: 600000 }' };
    const runId = await engine.start(await engine.save(bookings('second-cancel', waiting, resting)));
    await engine.until(runId, ({ status }) => status === 'waiting');
    await engine.cancel(runId, 'first');
    await engine.untilStep(runId, 'flight~undo', 'retrying');
    const leave = () => engine.act(runId, (transaction, change) => requestCancel(transaction, { ...change, reason: 'second', undo: false }));
    await leave();
    expect(await engine.ended(runId)).toMatchObject({
      status: 'cancelled',
      error: { message: 'The run was cancelled by prn_test: first. What 1 step had done was undone. What 2 steps had done stays.' },
    });
    const asked = (await engine.audit(runId)).filter(({ action }) => action === 'run.cancel').map(({ data }) => data);
    expect(asked).toEqual([{ reason: 'first' }, { reason: 'second', undo: false }]);
    await expect(leave()).rejects.toMatchObject({ code: 'run_final' });
  });

  it('a pause holds the next undo, and its end lets it go on', async () => {
    const runId = await engine.start(await engine.save(bookings('paused', failing, slow)));
    await engine.untilStep(runId, 'flight~undo', 'running');
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await engine.untilStep(runId, 'flight~undo', 'succeeded');
    expect((await engine.read(runId)).status).toBe('paused');
    expect(await engine.statusesOf(runId)).not.toContainEqual(['hotel~undo', 'running']);
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed' });
    expect((await traces(runId, 'paused')).slice(3)).toEqual(['car~undo un-car!', 'flight~undo un-flight!', 'hotel~undo un-hotel!']);
  });

  it('a cancel lifts a pause: what was done is undone', async () => {
    const runId = await engine.start(await engine.save(bookings('paused-then-cancelled', waiting)));
    await engine.untilStep(runId, 'last', 'waiting');
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await engine.cancel(runId, 'no longer wanted');
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    expect((await traces(runId, 'paused-then-cancelled')).slice(3)).toEqual(['car~undo un-car!', 'flight~undo un-flight!', 'hotel~undo un-hotel!']);
  });
});

describe('a run of a run', () => {
  const note = (name: string, text: string): string => `{ tool: test.note, with: { file: "${file(name)}", text: "${text}" }`;
  const child = (name: string, last: string): string => `
plan: ${name}-child
steps:
  inner: ${note(name, 'inner')}, undo: ${note(name, 'un-inner')} } }
  last: ${last}
output: "\${steps.inner.output.id}"
`;

  it('that has succeeded stays; the step that started it says what takes it back', async () => {
    const name = 'sub-run';
    await engine.save(child(name, '{ transform: 1, needs: [inner] }'));
    const run = await engine.run(`
plan: ${name}
steps:
  call: { plan: ${name}-child, undo: ${note(name, 'un-call ${output}')} } }
  last: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [call] }
`);
    expect(run).toMatchObject({ status: 'failed', error: { message: 'It failed as it was told. What 1 step had done was undone.' } });
    expect((await engine.linesOf(name)).map((line) => line.replace(/^[^/]+\//, ''))).toEqual(['inner inner', 'call~undo un-call inner!']);
  });

  it.each([
    ['undoes what it did when it is cut off', true, ['inner inner', 'inner~undo un-inner']],
    ['leaves it where the run above it was told to', false, ['inner inner']],
  ])('%s', async (_what, undo, wanted) => {
    const name = `cut-off-${undo}`;
    await engine.save(child(name, '{ wait: { forMs: 600000 }, needs: [inner] }'));
    const runId = await engine.start(await engine.save(`plan: ${name}\nsteps:\n  call: { plan: ${name}-child }\n`));
    await expect.poll(() => engine.linesOf(name), { timeout: 60_000 }).toHaveLength(1);
    await engine.until(runId, ({ status }) => status === 'waiting');
    await engine.act(runId, (transaction, change) => requestCancel(transaction, { ...change, reason: null, undo }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    const children = await engine.rig.system.sql<{ id: string }[]>`select id from kos.runs where parent_run_id = ${runId}`;
    for (const { id } of children) {
      engine.runIds.push(id);
      expect(await engine.ended(id)).toMatchObject({ status: 'cancelled' });
    }
    expect((await engine.linesOf(name)).map((line) => line.replace(/^[^/]+\//, ''))).toEqual(wanted);
  });

  it('that is cut off undoes what it did before the run above it does, and is what that waits for', async () => {
    const name = 'in-order';
    await engine.save(`
plan: ${name}-child
steps:
  inner: ${note(name, 'inner')}, undo: { tool: test.note, with: { file: "${file(name)}", text: un-inner, waitMs: 1500 } } }
  last: { wait: { forMs: 600000 }, needs: [inner] }
`);
    const source = `
plan: ${name}
steps:
  outer: ${note(name, 'outer')}, undo: ${note(name, 'un-outer')} } }
  call: { plan: ${name}-child, needs: [outer] }
`;
    const runId = await engine.start(await engine.save(source));
    await expect.poll(() => engine.linesOf(name), { timeout: 60_000 }).toHaveLength(2);
    await engine.until(runId, ({ status }) => status === 'waiting');
    await engine.cancel(runId, 'enough');
    const [child] = await engine.rig.system.sql<{ id: string }[]>`select id from kos.runs where parent_run_id = ${runId}`;
    engine.runIds.push(child?.id ?? '');
    await engine.until(runId, ({ waitingFor }) => waitingFor?.kind === 'run' && waitingFor.text.includes('ends first'));
    expect((await why(runId)).reasons.at(-1)).toMatchObject({ blockedBy: { kind: 'run', ref: child?.id }, command: `kai run why ${child?.id}` });
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled', error: { message: expect.stringMatching(/What 1 step had done was undone\.$/) } });
    expect((await engine.linesOf(name)).map((line) => line.replace(/^[^/]+\//, ''))).toEqual([
      'outer outer',
      'inner inner',
      'inner~undo un-inner',
      'outer~undo un-outer',
    ]);
  });
});

describe('a large list', () => {
  it('is undone item by item, whatever windows its items ran in', async () => {
    const run = await engine.run(`
plan: many
steps:
  each:
    tool: fs.create
    forEach: "\${range(620)}"
    concurrency: 50
    with: { path: "\${run.id}/\${index}.txt", content: "made" }
    undo: { tool: fs.write, with: { path: "\${output.path}", content: "undone" } }
  last: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [each] }
`);
    expect(run).toMatchObject({ status: 'failed', error: { message: 'It failed as it was told. What 620 steps had done was undone.' } });
    const rows = await engine.rig.system
      .sql`select status, count(*)::int as count from kos.steps where run_id = ${run.id} and undoes is not null group by status`;
    expect(rows).toEqual([{ status: 'succeeded', count: 620 }]);
    expect((await engine.steps(run.id)).find(({ path }) => path === 'each')).toMatchObject({ status: 'compensated' });
  });
});
