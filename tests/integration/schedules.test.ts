import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leadOf } from '#services/duties/lead.ts';
import { newId } from '#services/ids.ts';
import { requestCancel } from '#services/runs/change.ts';
import { acceptStart } from '#services/schedules/accept-start.ts';
import { concludeRun } from '#services/schedules/carry-run.ts';
import { resumeSchedule } from '#services/schedules/change.ts';
import { orderBackfill, orderRunNow, previewBackfill } from '#services/schedules/orders.ts';
import { verifyKnown, watchSchedules } from '#services/schedules/watch.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';
import { makeTestSchedules } from '#tests/rig/test-schedules.ts';

let engine: TestEngine;
let schedules: Awaited<ReturnType<typeof makeTestSchedules>>;
let connection: Connection;
let client: Client;
beforeAll(async () => {
  engine = await makeTestEngine({ worker: false });
  schedules = await makeTestSchedules(engine);
  connection = await Connection.connect({ address: engine.address });
  client = new Client({ connection, namespace: engine.namespace });
  await engine.save(
    'plan: quick\nsteps:\n  only: { transform: "${input.text}" }\ninput: { type: object, properties: { text: { type: string } } }\noutput: "${steps.only.output}"\n',
  );
});
afterAll(async () => {
  await schedules.close();
  await engine.close();
  await connection.close();
});

/** Never by the clock, in the life of this test. */
const yearly = { calendars: [{ month: 1, dayOfMonth: 1, year: 2099 }] };

const runNow = async (id: string): Promise<void> => {
  await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
    orderRunNow(transaction, schedules.principal, { id, overlap: undefined }, Date.now()),
  );
  engine.nudge();
};
const watching = () => ({ system: engine.rig.system, door: engine.workflows.schedules, log: engine.log });
const accepting = () => ({
  database: engine.rig.database,
  validateInput: engine.evaluator.validateInput,
  evaluate: engine.evaluator.evaluate,
});
const setRoles = (roles: string[], principalId = schedules.principal.principalId) =>
  engine.rig.system.sql`update kos.memberships set roles = ${engine.rig.system.sql.json(roles)} where principal_id = ${principalId}`;
const events = (id: string) =>
  engine.rig.system.sql<{ type: string; data: object }[]>`select type, data from kos.events where data->>'scheduleId' = ${id} order by at`;
const wrappersOf = async (id: string): Promise<string[]> => {
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query: `WorkflowId STARTS_WITH '${id}-'` })) found.push(workflowId);
  return found;
};

const openWrappers = async (id: string): Promise<number> =>
  (await client.workflow.count(`WorkflowId STARTS_WITH '${id}-' AND ExecutionStatus = 'Running'`)).count;

describe('a worker that is killed between the acceptance of a run and its start', () => {
  it('costs nothing: the run starts once, as the child of what the schedule started', async () => {
    await engine.save('plan: lined\nconcurrency: { limit: 1 }\nsteps:\n  rest: { wait: { forMs: 300 } }\n');
    const id = await schedules.create({ name: 'lined', plan: 'lined', spec: yearly });
    // Somebody holds the only slot: the run is accepted and cannot start.
    const holder = await engine.start('lined');
    await runNow(id);
    const first = await engine.startWorkerProcess();
    const [start] = await schedules.untilStarts(id, 1);
    const runId = start?.runId ?? '';
    await first.kill();
    expect((await engine.workflows.describe(runId)) === null || (await engine.read(holder)).status === 'succeeded').toBe(true);
    const second = await engine.startWorkerProcess();
    await engine.ended(holder);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', error: null, origin: { kind: 'schedule', id } });
    const [wrapper = ''] = await wrappersOf(id);
    const { raw } = await client.workflow.getHandle(runId).describe();
    expect(raw.workflowExecutionInfo?.parentExecution?.workflowId).toBe(wrapper);
    const accepted = await engine.rig.system.sql`select 1 from kos.events where run_id = ${runId} and type in ('run.accepted', 'run.started')`;
    expect(accepted).toHaveLength(2);
    await engine.stopOthers(second);
  });

  it('nor does the loss of that workflow itself: the outbox starts the run', async () => {
    const holder = await engine.start('lined');
    await engine.until(holder, ({ status }) => status !== 'queued');
    const id = await schedules.create({ name: 'orphaned', plan: 'lined', spec: yearly });
    await engine.stopOthers(null);
    const held = await engine.start('lined');
    await runNow(id);
    const worker = await engine.startWorkerProcess();
    const [start] = await schedules.untilStarts(id, 1);
    await worker.kill();
    const [wrapper = ''] = await wrappersOf(id);
    await engine.workflows.terminate(wrapper, 'lost');
    await engine.startWorkerProcess();
    for (const runId of [holder, held, start?.runId ?? '']) expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded' });
  });
});

describe('a schedule', () => {
  it('runs now when it is told to, paused or not, once for each order, and answers for it by who ordered', async () => {
    await engine.startWorkerProcess();
    const id = await schedules.create({ name: 'by-hand', plan: 'quick', input: { text: 'hello' }, spec: yearly, paused: true, overlap: 'allowAll' });
    await runNow(id);
    await runNow(id);
    const starts = await schedules.untilStarts(id, 2);
    expect(new Set(starts.map(({ nominalAt }) => nominalAt)).size).toBe(2);
    for (const { runId, kind } of starts) {
      expect(kind).toBe('manual');
      expect(await engine.ended(runId ?? '')).toMatchObject({ output: 'hello', startedBy: schedules.principal.principalId, origin: { kind: 'schedule', id } });
    }
  });

  it('makes up for a range, each time once, in order, for times that it ran already too', async () => {
    const id = await schedules.create({ name: 'backfilled', plan: 'quick', input: { text: 'x' }, spec: { cron: ['0 3 * * *'], timezone: 'Europe/Berlin' } });
    const range = { from: '2026-03-27T00:00:00Z', to: '2026-03-31T00:00:00Z' };
    const order = () =>
      engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
        orderBackfill(transaction, schedules.principal, { id, overlap: undefined, ...range }, Date.now()),
      );
    await order();
    engine.nudge();
    const starts = await schedules.untilStarts(id, 4);
    expect(starts.map(({ nominalAt, kind }) => [nominalAt, kind])).toEqual(
      ['2026-03-27T02:00:00.000Z', '2026-03-28T02:00:00.000Z', '2026-03-29T01:00:00.000Z', '2026-03-30T01:00:00.000Z'].map((at) => [at, 'backfill']),
    );
    for (const { runId } of starts) await engine.ended(runId ?? '');
    await order();
    engine.nudge();
    const again = await schedules.untilStarts(id, 8);
    expect(new Set(again.map(({ runId }) => runId)).size).toBe(8);
    for (const { runId } of again) await engine.ended(runId ?? '');
  });

  it('ends after so many runs', async () => {
    const id = await schedules.create({
      name: 'limited',
      plan: 'quick',
      input: { text: 'x' },
      spec: { intervals: [{ everyMs: 1_000 }] },
      overlap: 'allowAll',
      runsAtMost: 3,
    });
    const starts = await schedules.untilStarts(id, 3);
    for (const { runId } of starts) await engine.ended(runId ?? '');
    await expect.poll(async () => (await client.schedule.getHandle(id).describe()).state.remainingActions, { timeout: 30_000 }).toBe(0);
    expect(await schedules.read(id)).toMatchObject({ runsLeft: 0, next: [] });
    expect((await schedules.starts(id)).filter(({ status }) => status === 'accepted')).toHaveLength(3);
  });

  it('pauses when a run of it fails, where it was asked to', async () => {
    await engine.save('plan: failing\nsteps:\n  only: { tool: json.parse, with: { text: "{" }, retry: { maxAttempts: 1 } }\n');
    const id = await schedules.create({ name: 'careful', plan: 'failing', spec: yearly, pauseOnFailure: true });
    await runNow(id);
    const [start] = await schedules.untilStarts(id, 1);
    await engine.ended(start?.runId ?? '');
    await expect.poll(async () => (await schedules.read(id)).note, { timeout: 30_000 }).toBe(`Its run ${start?.runId ?? ''} failed.`);
    expect(await schedules.read(id)).toMatchObject({ paused: true });
    await schedules.synced(id);
    expect((await client.schedule.getHandle(id).describe()).state).toMatchObject({ paused: true });
  });

  it('tells of a start that could not be made, and why', async () => {
    const id = await schedules.create({ name: 'refused', plan: 'quick', input: { text: 'x' }, spec: yearly });
    await engine.save(
      'plan: quick\nsteps:\n  only: { transform: 1 }\ninput: { type: object, required: [more], properties: { text: { type: string }, more: { type: string } } }\n',
    );
    await runNow(id);
    await expect.poll(async () => (await schedules.starts(id))[0]?.status, { timeout: 60_000 }).toBe('refused');
    expect((await schedules.starts(id))[0]?.reason).toContain('does not fit plan quick@2');
    expect(await events(id)).toMatchObject([{ type: 'schedule.missed', data: { code: 'input_invalid' } }]);
    await engine.save(
      'plan: quick\nsteps:\n  only: { transform: "${input.text}" }\ninput: { type: object, properties: { text: { type: string } } }\noutput: "${steps.only.output}"\n',
    );
  });

  it('that is due and cannot be started is told of as missed, once', async () => {
    const id = await schedules.create({
      name: 'missing',
      plan: 'quick',
      input: { text: 'x' },
      spec: { intervals: [{ everyMs: 60_000 }] },
      catchupWindowMs: 10_000,
    });
    // As if nothing had been there for ten minutes, and Temporal had let go of what was due then.
    await engine.rig.system.sql`update kos.schedules set watched_at = clock_timestamp() - interval '10 minutes', counted_missed = -9 where id = ${id}`;
    await watchSchedules(watching(), () => Promise.resolve(true));
    await watchSchedules(watching(), () => Promise.resolve(true));
    const missed = (await schedules.starts(id)).filter(({ status }) => status === 'missed');
    expect(missed.length).toBe(9);
    expect(await schedules.read(id)).toMatchObject({ missed: 9 });
    expect(await events(id)).toMatchObject([{ type: 'schedule.missed', data: { name: 'missing', count: 9 } }]);

    // Made up for: an order's start, though a missed one stands at the same time.
    const [from, to] = [missed.at(-1)?.nominalAt ?? '', missed.at(-1)?.nominalAt ?? ''];
    await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
      orderBackfill(transaction, schedules.principal, { id, overlap: undefined, from, to }, Date.now()),
    );
    engine.nudge();
    await expect
      .poll(async () => (await schedules.starts(id)).filter(({ kind, status }) => kind === 'backfill' && status !== 'ordered').length, { timeout: 60_000 })
      .toBe(1);
    const [madeUpFor] = (await schedules.starts(id)).filter(({ kind }) => kind === 'backfill');
    expect(madeUpFor).toMatchObject({ nominalAt: from, runId: expect.stringMatching(/^run_/) });
    await engine.ended(madeUpFor?.runId ?? '');
    expect((await schedules.starts(id)).filter(({ status }) => status === 'missed').length).toBe(9);
  });

  it('pauses, with the reason, when its creator loses their rights: at once, and before it is due', async () => {
    const [due, idle] = [
      await schedules.create({ name: 'unable', plan: 'quick', input: { text: 'x' }, spec: yearly }),
      await schedules.create({ name: 'unable-idle', plan: 'quick', input: { text: 'x' }, spec: yearly }),
    ];
    await setRoles(['viewer']);
    await acceptStart(accepting(), {
      workspaceId: engine.workspaceId,
      scheduleId: due,
      nominalAt: '2026-01-01T00:00:00.000Z',
      workflowId: `${due}-gone`,
      execution: 'one',
    });
    expect((await schedules.read(due)).paused).toBe(true);
    expect((await schedules.starts(due))[0]).toMatchObject({
      status: 'refused',
      runId: null,
      reason: expect.stringContaining('lost the permission runs:start'),
    });
    await watchSchedules(watching(), () => Promise.resolve(true));
    expect(await schedules.read(idle)).toMatchObject({ paused: true, note: expect.stringContaining('lost the permission runs:start') });
    expect(await events(idle)).toMatchObject([{ type: 'schedule.paused', data: { by: 'kos' } }]);
    await setRoles(['operator']);
  });

  it('carries out an order by the rights of who ordered, and goes on when they have lost them', async () => {
    const stranger = await schedules.another('stranger');
    const id = await schedules.create({ name: 'ordered', plan: 'quick', input: { text: 'x' }, spec: yearly, overlap: 'allowAll' });
    const order = (principal: typeof stranger) =>
      engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => orderRunNow(transaction, principal, { id, overlap: undefined }, Date.now()));
    await order(stranger);
    await setRoles(['viewer'], stranger.principalId);
    engine.nudge();
    await expect.poll(async () => (await schedules.starts(id))[0]?.status, { timeout: 60_000 }).toBe('refused');
    expect((await schedules.starts(id))[0]?.reason).toContain('stranger, for whom it acts, has lost the permission runs:start');
    expect(await schedules.read(id)).toMatchObject({ paused: false });
    expect(await events(id)).toMatchObject([{ type: 'schedule.missed', data: { code: 'permission_missing' } }]);

    // The creator's own rights are nothing to it.
    await setRoles(['operator'], stranger.principalId);
    await setRoles(['viewer']);
    await order(stranger);
    engine.nudge();
    const [start] = await schedules.untilStarts(id, 1);
    await setRoles(['operator']);
    expect(await engine.ended(start?.runId ?? '')).toMatchObject({ startedBy: stranger.principalId });
    await expect(order({ ...stranger, permissions: new Set() })).rejects.toMatchObject({ code: 'permission_missing' });
  });

  it('gives each order a second of its own, whatever stands there', async () => {
    const id = await schedules.create({ name: 'seconds', plan: 'quick', input: { text: 'x' }, spec: yearly, overlap: 'allowAll', paused: true });
    const nowMs = Math.floor(Date.now() / 1_000) * 1_000;
    const at = (offset: number): string => new Date(nowMs + offset).toISOString();
    // One by the clock of an earlier spec, and one of an order far ahead.
    for (const [offset, kind] of [
      [0, 'regular'],
      [600_000, 'manual'],
    ] as const)
      await engine.rig.system.sql`insert into kos.schedule_starts (workspace_id, schedule_id, nominal_at, order_id, kind, status)
        values (${engine.workspaceId}, ${id}, ${at(offset)}::timestamptz, ${kind}, ${kind}, 'skipped')`;
    const orderId = await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
      orderRunNow(transaction, schedules.principal, { id, overlap: undefined }, nowMs),
    );
    const ordered = await engine.rig.system.sql<{ at: Date }[]>`select nominal_at as at from kos.schedule_starts where order_id = ${orderId}`;
    expect(ordered.map((start) => start.at.toISOString())).toEqual([at(1_000)]);
    engine.nudge();
    const [start] = await schedules.untilStarts(id, 1);
    await engine.ended(start?.runId ?? '');
  });

  it('previews a backfill while its row is held', async () => {
    const id = await schedules.create({ name: 'held', plan: 'quick', input: { text: 'x' }, spec: { cron: ['0 3 * * *'] }, paused: true });
    const [held, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holding = engine.rig.system.sql.begin(async (sql) => {
      await sql`select from kos.schedules where id = ${id} for update`;
      held.resolve();
      await release.promise;
    });
    await held.promise;
    const preview = await engine.rig.database.inWorkspace(engine.workspaceId, async (transaction) => {
      await transaction.sql`set local lock_timeout = '2s'`;
      return await previewBackfill(transaction, id, { from: '2026-03-01T00:00:00Z', to: '2026-03-03T00:00:00Z' }, Date.now());
    });
    release.resolve();
    await holding;
    expect(preview).toMatchObject({ total: 2 });
  });

  it('is paused once for a run that failed, however often that is told', async () => {
    const id = await schedules.create({ name: 'careful-once', plan: 'failing', spec: yearly, pauseOnFailure: true });
    await runNow(id);
    const [start] = await schedules.untilStarts(id, 1);
    const runId = start?.runId ?? '';
    await engine.ended(runId);
    await expect.poll(async () => (await schedules.read(id)).paused, { timeout: 30_000 }).toBe(true);
    await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
      resumeSchedule(transaction, { workspaceId: engine.workspaceId, actor: schedules.principal.principalId, id, note: 'mended' }),
    );
    expect(await concludeRun(engine.rig.database, { workspaceId: engine.workspaceId, scheduleId: id, runId })).toEqual({ over: true });
    expect(await schedules.read(id)).toMatchObject({ paused: false, note: 'mended' });
  });

  it('says that its workflow was cancelled in Temporal where no start was due', async () => {
    await engine.save('plan: resting\nsteps:\n  rest: { wait: { forMs: 600000 } }\n');
    const id = await schedules.create({ name: 'cancelled-there', plan: 'resting', spec: yearly, overlap: 'cancelOther' });
    await runNow(id);
    const [start] = await schedules.untilStarts(id, 1);
    const runId = start?.runId ?? '';
    await engine.until(runId, ({ status }) => status === 'waiting');
    const [wrapper = ''] = await wrappersOf(id);
    await client.workflow.getHandle(wrapper).cancel();
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    const decided = (await engine.audit(runId)).find(({ action }) => action === 'run.cancel');
    expect(decided).toMatchObject({ actor: 'kos', data: { reason: 'the workflow of its schedule was cancelled in Temporal' } });
  });

  it('is looked after by one process, and by another when that one is not heard of any more', async () => {
    const { system } = engine.rig;
    const [one, other] = [leadOf(system, 'test'), leadOf(system, 'test')];
    expect([await one(), await other(), await one()]).toEqual([true, false, true]);
    await system.sql`update kos.installation_settings set updated_at = clock_timestamp() - interval '31 seconds' where key = 'lead of test'`;
    expect([await other(), await one()]).toEqual([true, false]);
  });

  it('whose starts wait for a slot in their hundreds keeps no worker from other work', async () => {
    const waiting = proofSize(40, 120);
    const id = await schedules.create({ name: 'many', plan: 'lined', spec: { cron: ['* * * * *'] }, overlap: 'allowAll', paused: true });
    await engine.save('plan: lined\nconcurrency: { limit: 1 }\nsteps:\n  rest: { wait: { forMs: 600000 } }\n');
    const holder = await engine.start('lined');
    await engine.until(holder, ({ status }) => status === 'waiting');
    await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
      orderBackfill(
        transaction,
        schedules.principal,
        { id, overlap: 'allowAll', from: '2026-03-01T00:00:00Z', to: new Date(Date.parse('2026-03-01T00:00:00Z') + (waiting - 1) * 60_000).toISOString() },
        Date.now(),
      ),
    );
    engine.nudge();
    const starts = await schedules.untilStarts(id, waiting);
    // All wait now; a run of another plan is not behind them.
    const other = await engine.start('quick', { text: 'not blocked' });
    expect(await engine.ended(other)).toMatchObject({ output: 'not blocked' });
    for (const runId of [holder, ...starts.map((start) => start.runId ?? '')])
      await engine.rig.database.inWorkspace(engine.workspaceId, (transaction) =>
        requestCancel(transaction, { workspaceId: engine.workspaceId, actor: schedules.principal.principalId, runId, reason: null }),
      );
    engine.nudge();
    for (const { runId } of starts) expect(await engine.ended(runId ?? '')).toMatchObject({ status: 'cancelled' });
    await expect.poll(async () => await openWrappers(id), { timeout: 120_000 }).toBe(0);
  });

  it('that Temporal has lost is made there again', async () => {
    const id = await schedules.create({ name: 'lost', plan: 'quick', input: { text: 'x' }, spec: yearly });
    await client.schedule.getHandle(id).delete();
    for (let after = await verifyKnown(watching(), ''); after !== ''; after = await verifyKnown(watching(), after));
    await schedules.synced(id);
    expect(await engine.workflows.schedules.count(id)).toEqual({ missed: 0, skipped: 0, buffered: 0 });
  });

  it('takes a time once, whoever comes for it and however often', async () => {
    const id = await schedules.create({ name: 'once', plan: 'quick', input: { text: 'x' }, spec: { cron: ['0 0 1 1 *'] }, overlap: 'allowAll' });
    const accept = (execution: string) =>
      acceptStart(accepting(), { workspaceId: engine.workspaceId, scheduleId: id, nominalAt: '2026-01-01T00:00:00.000Z', workflowId: `${id}-gone`, execution });
    const taken = await Promise.all(Array.from({ length: 12 }, (_, index) => accept(index % 2 === 0 ? 'same' : newId('run'))));
    expect(new Set(taken.map(({ runId }) => runId)).size).toBe(1);
    await engine.ended(taken[0]?.runId ?? '');
  });
});
