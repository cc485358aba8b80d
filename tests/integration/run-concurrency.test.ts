import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Explanation } from '#core/engine/explain.ts';
import { explainRun } from '#services/runs/explain.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { reconcile } from '#services/duties/reconciler.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const input = 'input: { type: object, properties: { key: { type: string, default: "" }, waitMs: { type: integer, default: 200 } } }';
const bounded = (name: string, rule: string): string =>
  `plan: ${name}\n${input}\nconcurrency: { ${rule} }\nsteps:\n  only: { tool: test.rest, with: { waitMs: "\${input.waitMs}" }, timeoutMs: 120000 }\n`;
const byKey = 'key: "${input.key}", limit: 1';

const slots = (): Promise<{ runId: string }[]> => engine.rig.system.sql<{ runId: string }[]>`select run_id as "runId" from kos.concurrency_slots`;
const why = (runId: string): Promise<Explanation> =>
  engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => explainRun(engine.workflows, transaction, runId));

/** Runs in the order of their starts, and how many were open at once at most. */
async function course(ids: string[]): Promise<{ order: string[]; atOnce: number }> {
  const rows = await engine.rig.system.sql<{ id: string; from: number; to: number }[]>`
    select id, extract(epoch from started_at)::float8 as "from", extract(epoch from finished_at)::float8 as "to" from kos.runs where id in ${engine.rig.system.sql(ids)} order by started_at`;
  const atOnce = Math.max(...rows.map((row) => rows.filter((other) => other.from <= row.from && other.to > row.from).length));
  return { order: rows.map(({ id }) => id), atOnce };
}

describe('runs of a plan with concurrency', () => {
  it('wait for their turn, first come first served; each key has a line of its own', async () => {
    const plan = await engine.save(bounded('lines', byKey));
    const one: string[] = [];
    for (let index = 0; index < 6; index += 1) one.push(await engine.start(plan, { key: 'one' }));
    const other = await engine.start(plan, { key: 'other' });
    expect(await engine.read(one[2] ?? '')).toMatchObject({ status: 'queued', waitingFor: { kind: 'concurrency', ref: one[0] } });
    expect((await engine.read(one[2] ?? '')).waitingFor?.text).toContain(`${one[0] ?? ''} holds the 1 of lines with key "one". 1 run waits before it.`);
    expect((await why(one[2] ?? '')).reasons[0]).toMatchObject({ blockedBy: { kind: 'concurrency', ref: one[0] }, command: `kai run cancel ${one[0] ?? ''}` });
    for (const runId of [...one, other]) expect((await engine.ended(runId)).status).toBe('succeeded');
    expect(await course(one)).toEqual({ order: one, atOnce: 1 });
    const [first, last] = [(await engine.read(other)).startedAt ?? '', (await engine.read(one[5] ?? '')).startedAt ?? ''];
    expect(Date.parse(first)).toBeLessThan(Date.parse(last));
    expect(await slots()).toEqual([]);
  });

  it('are as many at once as the limit says', async () => {
    const plan = await engine.save(bounded('three', 'limit: 3'));
    const ids: string[] = [];
    for (let index = 0; index < 9; index += 1) ids.push(await engine.start(plan, { waitMs: 300 }));
    for (const runId of ids) await engine.ended(runId);
    expect((await course(ids)).atOnce).toBeLessThanOrEqual(3);
  });

  it('are not accepted where the plan rejects: nothing is written', async () => {
    const plan = await engine.save(bounded('rejects', `${byKey}, onConflict: reject`));
    const first = await engine.start(plan, { key: 'x', waitMs: 60_000 });
    const before = await engine.rig.system.sql`select id from kos.runs`;
    await expect(engine.start(plan, { key: 'x' })).rejects.toMatchObject({ code: 'concurrency_limit', status: 409, extra: { holders: [first] } });
    expect(await engine.rig.system.sql`select id from kos.runs`).toHaveLength(before.length);
    await engine.cancel(first);
    await engine.ended(first);
    expect((await engine.ended(await engine.start(plan, { key: 'x' }))).status).toBe('succeeded');
  });

  it('of two at once, one is accepted where the plan rejects', async () => {
    const plan = await engine.save(bounded('races', `${byKey}, onConflict: reject`));
    const tried = await Promise.allSettled(Array.from({ length: 8 }, () => engine.start(plan, { key: 'x', waitMs: 50 })));
    expect(tried.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of tried) if (result.status === 'fulfilled') await engine.ended(result.value);
  });

  it('make room for the newest where the plan cancels', async () => {
    const plan = await engine.save(bounded('newest', `${byKey}, onConflict: cancelRunning`));
    const first = await engine.start(plan, { key: 'x', waitMs: 60_000 });
    await engine.untilStep(first, 'only', 'running');
    const second = await engine.start(plan, { key: 'x', waitMs: 60_000 });
    const third = await engine.start(plan, { key: 'x', waitMs: 50 });
    expect((await engine.ended(third)).status).toBe('succeeded');
    expect(await engine.ended(first)).toMatchObject({ status: 'cancelled', error: { message: `The run was cancelled by kos: superseded by ${second}` } });
    expect(await engine.ended(second)).toMatchObject({ status: 'cancelled' });
  });

  it('are accepted where the plan cancels, also when what they supersede ends in that moment', async () => {
    const plan = await engine.save(bounded('ending', `${byKey}, onConflict: cancelRunning`));
    const ids: string[] = [];
    // Each meets the last as it ends: of those that were read as open some are closed when their turn to be cancelled comes.
    for (let round = 0; round < proofSize(15, 60); round += 1) {
      ids.push(...(await Promise.all(Array.from({ length: 4 }, () => engine.start(plan, { key: 'x', waitMs: 0 })))));
    }
    const ends = await Promise.all(ids.map(async (runId) => (await engine.ended(runId)).status));
    expect(new Set(ends)).toEqual(new Set(['succeeded', 'cancelled']));
    expect(await slots()).toEqual([]);
  });

  it('wait on in their place after a pause, and say so', async () => {
    const plan = await engine.save(bounded('paused-in-line', byKey));
    const first = await engine.start(plan, { key: 'x', waitMs: 60_000 });
    const second = await engine.start(plan, { key: 'x' });
    const before = (await engine.read(second)).waitingFor;
    expect(before).toMatchObject({ kind: 'concurrency', ref: first });
    await engine.act(second, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    const paused = (await why(second)).reasons;
    expect(paused.map(({ blockedBy }) => blockedBy.kind)).toEqual(['concurrency', 'paused', 'paused']);
    await engine.act(second, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect(await engine.read(second)).toMatchObject({ status: 'queued', waitingFor: before });
    expect((await why(second)).reasons[0]).toMatchObject({ blockedBy: { kind: 'concurrency', ref: first }, command: `kai run cancel ${first}` });
    await engine.cancel(first);
    expect((await engine.ended(second)).status).toBe('succeeded');
  });

  it('give their slots back however they end, and take one again when they are retried', async () => {
    const plan = await engine.save(bounded('ends', byKey));
    const first = await engine.start(plan, { key: 'x', waitMs: 60_000 });
    await engine.untilStep(first, 'only', 'running');
    const [waiting, next] = [await engine.start(plan, { key: 'x' }), await engine.start(plan, { key: 'x', waitMs: 60_000 })];
    // One that waits leaves the line at once.
    await engine.cancel(waiting, 'not needed');
    expect(await engine.read(waiting)).toMatchObject({ status: 'cancelled', startedAt: null, error: { code: 'cancelled' } });
    await engine.act(first, (transaction, change) => terminateRun(transaction, { ...change, reason: null }));
    await engine.untilStep(next, 'only', 'running');
    await engine.act(waiting, (transaction, change) => retryRun(transaction, { ...change, reason: null }));
    await engine.until(waiting, (run) => run.waitingFor?.kind === 'concurrency');
    await engine.cancel(next);
    expect((await engine.ended(waiting)).status).toBe('succeeded');
    expect(await slots()).toEqual([]);
  });

  it('are not taken for lost while they wait, and end by their deadline', async () => {
    const plan = await engine.save(bounded('overdue', byKey));
    const first = await engine.start(plan, { key: 'x', waitMs: 60_000 });
    const late = await engine.start(plan, { key: 'x' }, { deadlineAt: new Date(Date.now() + 6_000).toISOString() });
    await sleep(7_000);
    await reconcile({ system: engine.rig.system, workflows: engine.workflows, log: engine.log });
    expect(await engine.ended(late)).toMatchObject({
      status: 'failed',
      error: { code: 'run_timeout', message: expect.stringMatching(/^The run had not started when its deadline passed\. Waits for a slot/) },
      startedAt: null,
    });
    await engine.cancel(first);
    await engine.ended(first);
  });

  it('keep order and limit over the deaths (SIGKILL) of their worker', { timeout: 300_000 }, async () => {
    await engine.stopWorker();
    const plan = await engine.save(bounded('deaths', byKey));
    const ids: string[] = [];
    for (let index = 0; index < proofSize(4, 8); index += 1) ids.push(await engine.start(plan, { key: 'x', waitMs: 400 }));
    for (let life = 0; life < proofSize(2, 6); life += 1) {
      const worker = await engine.startWorkerProcess();
      await sleep(100 + 97 * life);
      await worker.kill();
    }
    await engine.startWorkerProcess();
    for (const runId of ids) expect((await engine.ended(runId, 120_000)).status).toBe('succeeded');
    expect(await course(ids)).toEqual({ order: ids, atOnce: 1 });
    expect(await slots()).toEqual([]);
    await engine.stopOthers(null);
    await engine.startWorker();
  });
});

describe('a run with startAt', () => {
  const traced = (name: string): string => `plan: ${name}\nsteps:\n  only: { tool: test.repeat, with: { file: "${join(engine.home, `${name}.txt`)}" } }\n`;
  const linesOf = async (name: string): Promise<number> => (await readFile(join(engine.home, `${name}.txt`), 'utf8').catch(() => '')).split('\n').length - 1;

  it('is accepted now and started then, by the database’s clock', async () => {
    const startAt = new Date(Date.now() + 3_000).toISOString();
    const runId = await engine.start(await engine.save(traced('later')), {}, { startAt });
    expect(await engine.read(runId)).toMatchObject({ status: 'queued', startAt, waitingFor: { kind: 'timer', until: startAt } });
    expect((await why(runId)).reasons[0]).toMatchObject({ blockedBy: { kind: 'timer' }, until: startAt, command: `kai run cancel ${runId}` });
    const run = await engine.ended(runId);
    expect(run.status).toBe('succeeded');
    expect(Date.parse(run.startedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(startAt));
    expect(await linesOf('later')).toBe(1);
  });

  it('still waits for its time after a pause, and says so', async () => {
    const startAt = new Date(Date.now() + 4_000).toISOString();
    const runId = await engine.start(await engine.save(traced('paused-later')), {}, { startAt });
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    expect((await why(runId)).reasons.map(({ blockedBy }) => blockedBy.kind)).toEqual(['timer', 'paused', 'paused']);
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect(await engine.read(runId)).toMatchObject({ status: 'queued', waitingFor: { kind: 'timer', until: startAt } });
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('can be cancelled before: it is over at once, and never starts', async () => {
    const runId = await engine.start(await engine.save(traced('never')), {}, { startAt: new Date(Date.now() + 2_000).toISOString() });
    await engine.cancel(runId, 'changed our mind');
    expect(await engine.read(runId)).toMatchObject({ status: 'cancelled', startedAt: null, error: { code: 'cancelled' } });
    await sleep(3_000);
    expect(await linesOf('never')).toBe(0);
  });

  it('has its time from its start on', async () => {
    const plan = await engine.save('plan: timed-later\ntimeoutMs: 20000\nsteps:\n  only: { transform: 1 }\n');
    const startAt = new Date(Date.now() + 1_500).toISOString();
    const runId = await engine.start(plan, {}, { startAt });
    expect((await engine.read(runId)).deadlineAt).toBeNull();
    const run = await engine.ended(runId);
    expect(run.status).toBe('succeeded');
    expect(Date.parse(run.deadlineAt ?? '')).toBeGreaterThanOrEqual(Date.parse(startAt) + 20_000);
  });

  it('holds no slot until then', async () => {
    const plan = await engine.save(bounded('later-slot', byKey));
    const later = await engine.start(plan, { key: 'x', waitMs: 10 }, { startAt: new Date(Date.now() + 2_000).toISOString() });
    const now = await engine.start(plan, { key: 'x', waitMs: 4_000 });
    await engine.until(later, (run) => run.waitingFor?.kind === 'concurrency');
    expect((await engine.ended(now)).status).toBe('succeeded');
    expect((await engine.ended(later)).status).toBe('succeeded');
  });
});

it('a run with a deadline or a time of its own is ended by it', async () => {
  const plan = await engine.save('plan: own-time\nsteps:\n  only: { tool: test.rest, with: { waitMs: 60000 } }\n');
  const byDuration = await engine.start(plan, {}, { timeoutMs: 1_000 });
  const byInstant = await engine.start(plan, {}, { deadlineAt: new Date(Date.now() + 1_500).toISOString() });
  const messages = [/within the 1000 ms that it was started with/, /by its deadline, 2/];
  for (const [index, runId] of [byDuration, byInstant].entries()) {
    expect(await engine.ended(runId)).toMatchObject({
      status: 'failed',
      error: { code: 'run_timeout', message: expect.stringMatching(messages[index] ?? '') },
    });
  }
});
