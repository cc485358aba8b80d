import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { explainRun } from '#services/runs/explain.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
  await mkdir(join(engine.home, 'workspace', 'inbox'));
});
afterAll(() => engine.close());

const waitsFor = (name: string, more = ''): string => `
plan: ${name}
steps:
  ready:
    wait:
      check: { tool: fs.list, with: { path: inbox } }
      until: "\${check.output.entries.exists(entry, entry.name == '${name}')}"
      everyMs: 200
      expiresInMs: 600000
      ${more}
output: "\${steps.ready.output}"
`;

const arrive = (name: string): Promise<void> => writeFile(join(engine.home, 'workspace', 'inbox', name), '');

const looksOf = async (runId: string): Promise<{ id: string; looks: number; status: string }[]> =>
  await engine.rig.system.sql<
    { id: string; looks: number; status: string }[]
  >`select id, looks, status from kos.waits where run_id = ${runId} order by opened_at`;

const untilLooked = (runId: string, times: number): Promise<void> =>
  expect.poll(async () => (await looksOf(runId))[0]?.looks ?? 0, { timeout: 60_000 }).toBeGreaterThanOrEqual(times);

describe('a wait with a check', () => {
  it('looks again and again until its condition is met, and says when it looked and when it looks next', async () => {
    const runId = await engine.start(await engine.save(waitsFor('one')));
    await untilLooked(runId, 2);
    const run = await engine.until(runId, ({ status, waitingFor }) => status === 'waiting' && waitingFor?.text.includes('Last looked at') === true);
    expect(run.waitingFor).toMatchObject({ kind: 'timer', ref: (await looksOf(runId))[0]?.id });
    const why = await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId));
    const reason = why.reasons.find(({ stepPath }) => stepPath === 'ready');
    expect(reason?.blockedBy.text).toMatch(
      /ready waits until its condition on fs\.list is met\. Last looked at \S+ \(\d+ times so far\): not yet; next at \S+\. It expires at \S+\./,
    );
    expect(reason?.until).not.toBe(null);
    await arrive('one');
    const ended = await engine.ended(runId);
    expect(ended).toMatchObject({
      status: 'succeeded',
      output: { met: true, output: { entries: expect.arrayContaining([expect.objectContaining({ name: 'one' })]) } },
    });
    const [wait] = await looksOf(runId);
    expect(wait).toMatchObject({ status: 'settled', looks: (ended.output as { checks: number }).checks });
    // One row in the ledger tells how often the outside was asked; the record is not filled with looks.
    const effects = await engine.rig.system.sql`select status, calls from kos.effects where run_id = ${runId}`;
    expect(effects).toEqual([{ status: 'happened', calls: wait?.looks }]);
    expect((await engine.audit(runId)).map(({ action }) => action)).toEqual(['run.accept', 'run.start', 'step.succeeded', 'run.succeeded']);
    const events = await engine.rig.system.sql<{ type: string }[]>`select type from kos.events where run_id = ${runId} and type = 'run.waiting'`;
    expect(events).toHaveLength(1);
  });

  it('goes on when a call fails, by its retry policy and then by everyMs', async () => {
    const source = (retry: string): string => `
plan: failing-check
steps:
  ready:
    wait: { check: { tool: test.fail, with: { times: 3 }, retry: ${retry} }, until: "\${check.output.attempt > 0}", everyMs: 300, expiresInMs: 60000 }
output: "\${steps.ready.output.checks}"
`;
    expect(await engine.run(source('{ maxAttempts: 2, initialDelayMs: 10 }'))).toMatchObject({ status: 'succeeded', output: 4 });
    expect(await engine.run(source('{ nonRetryable: [told_to_fail] }'))).toMatchObject({
      status: 'failed',
      error: { code: 'told_to_fail', stepPath: 'ready' },
    });
    const value = source('{ nonRetryable: [told_to_fail] }').replace('\noutput', '\n    onError: { value: { checks: 0 } }\noutput');
    expect(await engine.run(value)).toMatchObject({ status: 'succeeded', output: 0 });
  });

  it('fails with a call that no repeat mends, and with a condition that gives no boolean', async () => {
    const missing = waitsFor('missing').replace('path: inbox', 'path: nowhere');
    expect(await engine.run(missing)).toMatchObject({ status: 'failed', error: { stepPath: 'ready' } });
    const source =
      'plan: odd\nsteps:\n  ready: { wait: { check: { tool: json.parse, with: { text: "[3]" } }, until: "${check.output.value[0]}", everyMs: 300 } }\n';
    expect(await engine.run(source)).toMatchObject({ status: 'failed', error: { code: 'check_not_boolean' } });
  });

  it('expires: as a failure, or with met: false', async () => {
    const brief = (name: string, more?: string): string => waitsFor(name, more).replace('expiresInMs: 600000', 'expiresInMs: 1000');
    expect(await engine.run(brief('never'))).toMatchObject({ status: 'failed', error: { code: 'wait_expired', stepPath: 'ready' } });
    const run = await engine.run(brief('never-mind', 'onExpiry: continue'));
    expect(run).toMatchObject({ status: 'succeeded', output: { met: false, output: null, at: null } });
    expect((run.output as { checks: number }).checks).toBeGreaterThan(2);
  });

  it('looks for each item on its own', async () => {
    const source = waitsFor('each')
      .replace('    wait:', '    forEach: [left, right]\n    wait:')
      .replace("'each'", 'item')
      .replace('${steps.ready.output}', '${steps.ready.output.map(one, one.met)}');
    const runId = await engine.start(await engine.save(source));
    await engine.untilStep(runId, 'ready[1]', 'waiting');
    await arrive('right');
    await engine.untilStep(runId, 'ready[1]', 'succeeded');
    expect((await engine.steps(runId)).find(({ path }) => path === 'ready[0]')?.status).toBe('waiting');
    await arrive('left');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [true, true] });
  });

  it('does not look while its run is paused, and is cancelled with it', async () => {
    const runId = await engine.start(await engine.save(waitsFor('held')));
    await untilLooked(runId, 1);
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await sleep(400);
    const held = (await looksOf(runId))[0]?.looks ?? 0;
    await sleep(800);
    expect((await looksOf(runId))[0]?.looks).toBe(held);
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    await untilLooked(runId, held + 1);
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
    expect(await looksOf(runId)).toMatchObject([{ status: 'voided' }]);
  });

  it('is the same wait after SIGKILL of the worker in the midst of a look, and after the loss of what Temporal holds', async () => {
    await engine.stopWorker();
    const worker = await engine.startWorkerProcess();
    const file = join(engine.home, 'looks.txt');
    const runId = await engine.start(
      await engine.save(`
plan: survives
steps:
  ready:
    wait: { check: { tool: test.repeat, with: { file: "${file}", waitMs: 1500 } }, until: "\${check.output.at < 0}", everyMs: 500, expiresInMs: 600000 }
`),
    );
    await expect.poll(() => engine.linesOf('looks.txt'), { timeout: 30_000 }).toHaveLength(2);
    await worker.kill();
    await engine.startWorkerProcess();
    await untilLooked(runId, 2);
    await engine.loseWorkflow(runId);
    await untilLooked(runId, 4);
    await engine.cancel(runId);
    await engine.ended(runId);
    expect(await looksOf(runId)).toHaveLength(1);
    // Each look is a call of its own; one that was cut off was made again as the same one.
    const lines = await engine.linesOf('looks.txt');
    expect(lines.slice(0, 3)).toEqual([0, 1, 1].map((n) => `${runId}/ready#${n} 1`));
    expect([...new Set(lines)]).toEqual([...new Set(lines)].toSorted());
    await engine.stopOthers(null);
    await engine.startWorker();
  });
});
