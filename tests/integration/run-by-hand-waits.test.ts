import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateJson } from '#core/plan/json-schema.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import type { Json } from '#schemas/json.ts';
import { sendSignal } from '#services/signals/send.ts';
import { byHand } from '#tests/rig/by-hand.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
});
afterAll(() => engine.close());

const { override, skip } = byHand(() => engine);

const send = async (runId: string, name: string, payload: Json = null): Promise<void> => {
  await sendSignal(
    { database: engine.rig.database, validateJson: async (schema, value) => validateJson(schema, value) },
    { workspaceId: engine.workspaceId, actor: 'prn_sender', runId, signal: { name, payload } },
  );
  engine.nudge();
};

const waitsOf = async (runId: string): Promise<[string, string][]> => {
  const rows = await engine.rig.system.sql<{ path: string; status: string }[]>`
    select step_path as path, status from kos.waits where run_id = ${runId} order by step_path collate "C"`;
  return rows.map(({ path, status }) => [path, status]);
};

const startWaiting = async (source: string): Promise<string> => {
  const runId = await engine.start(await engine.save(source));
  await engine.until(runId, (run) => run.status === 'waiting');
  return runId;
};

describe('a wait that a person ends', () => {
  it('is withdrawn, and its output stands in', async () => {
    const runId = await startWaiting(`
plan: hold-hour
steps:
  hold: { wait: { forMs: 3600000 } }
  after: { transform: "since \${steps.hold.output.until}" }
output: "\${steps.after.output}"
`);
    await expect(override(runId, 'hold', { until: 7 })).rejects.toMatchObject({
      code: 'output_invalid',
      details: expect.arrayContaining([expect.objectContaining({ pointer: '/output/until' })]),
    });
    await override(runId, 'hold', { until: '2031-01-01T00:00:00Z' });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'since 2031-01-01T00:00:00Z' });
    expect(await waitsOf(runId)).toEqual([['hold', 'voided']]);
    expect((await engine.audit(runId)).find(({ action }) => action === 'step.override')).toMatchObject({
      actor: 'prn_test',
      data: { stepPath: 'hold', reason: 'known', withdrawn: 'timer' },
    });
  });

  it('takes with it what depends on it when it is skipped, while no worker runs too', async () => {
    const runId = await startWaiting(`
plan: hold-long
steps:
  hold: { wait: { until: "2091-01-01T00:00:00Z" } }
  after: { transform: 1, needs: [hold] }
  other: { transform: "\${steps.hold.status}", needs: [hold], when: "\${steps.hold.status == 'skipped'}" }
output: "\${steps.other.output}"
`);
    await engine.stopWorker();
    await skip(runId, 'hold');
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'skipped' });
    expect(await engine.statusesOf(runId)).toEqual([
      ['hold', 'skipped'],
      ['after', 'skipped'],
      ['other', 'succeeded'],
    ]);
  });

  it('with a check is asked no more', async () => {
    const runId = await startWaiting(`
plan: hold-check
steps:
  arrived: { wait: { check: { tool: test.repeat, with: { file: "${engine.home}/checks", waitMs: 0 } }, until: "\${check.output.at < 0}", everyMs: 300, expiresInMs: 600000 } }
  after: { transform: "\${steps.arrived.output.output.at}" }
output: "\${steps.after.output}"
`);
    await override(runId, 'arrived', { met: true, output: { at: 5 }, checks: 1, at: null });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 5 });
    const asked = (await engine.linesOf('checks')).length;
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(await engine.linesOf('checks')).toHaveLength(asked);
  });

  it('is withdrawn in a paused run, which goes on with its resume', async () => {
    const runId = await startWaiting('plan: hold-paused\nsteps:\n  hold: { wait: { forMs: 3600000 } }\noutput: "${steps.hold.output.until}"\n');
    await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
    await override(runId, 'hold', { until: null });
    expect((await engine.read(runId)).status).toBe('paused');
    await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: null });
  });
});

describe('a signal that a person stands in for', () => {
  const source = `
plan: no-signal
steps:
  paid: { signal: { name: payment, schema: { type: object, required: [amount], properties: { amount: { type: integer } } } } }
  receipt: { transform: "paid \${steps.paid.output.amount}" }
output: "\${steps.receipt.output}"
`;

  it('takes a payload that fits its schema, and is awaited no more', async () => {
    const runId = await startWaiting(source);
    await expect(override(runId, 'paid', { amount: 'much' })).rejects.toMatchObject({ code: 'output_invalid' });
    await engine.stopWorker();
    await override(runId, 'paid', { amount: 3 });
    await expect(send(runId, 'payment', { amount: 4 })).rejects.toMatchObject({ code: 'signal_not_awaited' });
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'paid 3' });
  });

  it('was there before the person: the signal counts', async () => {
    const runId = await startWaiting(source);
    await engine.stopWorker();
    await send(runId, 'payment', { amount: 4 });
    await expect(override(runId, 'paid', { amount: 3 })).rejects.toMatchObject({ code: 'step_at_work', message: expect.stringContaining('has come') });
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'paid 4' });
  });

  it('of an item stands in for that item alone', async () => {
    const runId = await startWaiting(`
plan: signals-each
steps:
  paid: { signal: { name: "payment-\${item}" }, forEach: [a, b, c] }
output: "\${steps.paid.output}"
`);
    await expect.poll(() => waitsOf(runId)).toHaveLength(3);
    await expect(skip(runId, 'paid')).rejects.toMatchObject({ code: 'step_at_work', fix: expect.stringContaining(`kai run skip ${runId} 'paid[0]'`) });
    await override(runId, 'paid[0]', 'by hand');
    await skip(runId, 'paid[1]');
    // A fork begins at a step, not at an item of it.
    await expect(skip(runId, 'paid[1]')).rejects.toMatchObject({ code: 'step_ended', fix: `To run it again: kai run fork ${runId} --from 'paid'` });
    await send(runId, 'payment-c', 'sent');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ['by hand', null, 'sent'] });
    expect(await waitsOf(runId)).toEqual([
      ['paid[0]', 'voided'],
      ['paid[1]', 'voided'],
      ['paid[2]', 'settled'],
    ]);
  });
});

describe('an item that waits in a window', () => {
  it('ends by hand, and the window hears of it', async () => {
    const runId = await startWaiting(`
plan: waits-in-windows
steps:
  hold: { wait: { forMs: "\${item == 505 ? 3600000 : 0}" }, forEach: "\${range(510)}", concurrency: 50 }
output: "\${steps.hold.output[505].until}"
`);
    await engine.untilStep(runId, 'hold[505]', 'waiting');
    await override(runId, 'hold[505]', { until: '2031-01-01T00:00:00Z' });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: '2031-01-01T00:00:00Z' });
  });
});

describe('what waits for a person or for another run', () => {
  it('says how it is ended instead', async () => {
    await engine.save('plan: below\nsteps:\n  hold: { wait: { forMs: 3600000 } }\n');
    const runId = await startWaiting(`
plan: not-by-hand
steps:
  ask: { approval: { message: "Shall we?" } }
  call: { plan: below }
`);
    await engine.untilStep(runId, 'call', 'waiting');
    const [approval] = await engine.rig.system.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId}`;
    const [sub] = await engine.rig.system.sql<{ id: string }[]>`select id from kos.runs where parent_run_id = ${runId}`;
    await expect(skip(runId, 'ask')).rejects.toMatchObject({
      code: 'approval_not_by_hand',
      fix: expect.stringContaining(`kai approval approve ${approval?.id}, or kai approval deny ${approval?.id} --reason R`),
    });
    await expect(override(runId, 'call', 1)).rejects.toMatchObject({ code: 'step_at_work', fix: expect.stringContaining(`kai run why ${sub?.id}`) });
    await engine.cancel(runId);
    await engine.ended(runId);
  });
});
