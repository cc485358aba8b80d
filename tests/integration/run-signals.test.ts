import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '#schemas/json.ts';
import type { Signal } from '#schemas/signal.ts';
import { validateJson } from '#core/plan/json-schema.ts';
import { sendSignal } from '#services/signals/send.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
});
afterAll(() => engine.close());

async function send(runId: string, name: string, payload: Json = null): Promise<Signal> {
  const signal = await sendSignal(
    { database: engine.rig.database, validateJson: async (schema, value) => validateJson(schema, value) },
    { workspaceId: engine.workspaceId, actor: 'prn_sender', runId, signal: { name, payload } },
  );
  engine.nudge();
  return signal;
}

const paid = `
plan: paid
steps:
  paid: { signal: { name: payment, schema: { type: object, required: [amount], properties: { amount: { type: integer, minimum: 1 } } } } }
  receipt: { transform: "paid \${steps.paid.output.amount}" }
output: "\${steps.receipt.output}"
`;

describe('a signal', () => {
  it('ends the step that waits for it, and its payload is the output', async () => {
    const runId = await engine.start(await engine.save(paid));
    const waiting = await engine.until(runId, (run) => run.status === 'waiting');
    expect(waiting.waitingFor).toMatchObject({ kind: 'signal', ref: 'payment', text: 'paid waits for the signal payment.' });
    expect(await send(runId, 'payment', { amount: 7 })).toMatchObject({ status: 'taken', stepPath: 'paid' });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 'paid 7' });
    expect(await engine.audit(runId)).toContainEqual(expect.objectContaining({ action: 'run.signal', actor: 'prn_sender' }));
  });

  it('without a payload gives null, whether it comes early or late', async () => {
    const runId = await engine.start(
      await engine.save(
        'plan: bare\nsteps:\n  one: { signal: { name: go } }\n  two: { signal: { name: on }, needs: [one] }\noutput: ["${steps.one.output}", "${steps.two.output}"]\n',
      ),
    );
    await engine.until(runId, (run) => run.status === 'waiting');
    expect(await send(runId, 'on')).toMatchObject({ status: 'buffered', payload: null });
    expect(await send(runId, 'go')).toMatchObject({ status: 'taken', payload: null });
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [null, null] });
  });

  it('that does not fit the schema is refused with the field, and changes nothing', async () => {
    const runId = await engine.start(await engine.save(paid));
    await engine.until(runId, (run) => run.status === 'waiting');
    await expect(send(runId, 'payment', { amount: 0 })).rejects.toMatchObject({
      code: 'signal_payload_invalid',
      status: 422,
      details: [expect.objectContaining({ pointer: '/payload/amount' })],
    });
    expect((await engine.read(runId)).status).toBe('waiting');
    await send(runId, 'payment', { amount: 1 });
    expect((await engine.ended(runId)).status).toBe('succeeded');
  });

  it('of a name that no step waits for is refused, with the name that was probably meant', async () => {
    const runId = await engine.start(await engine.save(paid));
    await engine.until(runId, (run) => run.status === 'waiting');
    await expect(send(runId, 'paiment')).rejects.toMatchObject({
      code: 'signal_unknown',
      status: 422,
      fix: expect.stringContaining('Did you mean "payment"?'),
    });
    await send(runId, 'payment', { amount: 1 });
    await engine.ended(runId);
    await expect(send(runId, 'payment', { amount: 1 })).rejects.toMatchObject({ code: 'run_final', status: 409 });
  });

  it('that comes early is kept, also when no worker runs, and taken in the order of arrival', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: early
steps:
  before: { wait: { forMs: 1500 } }
  first: { signal: { name: tick }, needs: [before] }
  second: { signal: { name: tick }, needs: [first] }
  third: { signal: { name: tick }, needs: [second] }
output: ["\${steps.first.output}", "\${steps.second.output}", "\${steps.third.output}"]
`),
    );
    expect(await send(runId, 'tick', 1)).toMatchObject({ status: 'buffered', stepPath: null });
    await send(runId, 'tick', 2);
    await engine.stopWorker();
    await engine.startWorker();
    await engine.untilStep(runId, 'third', 'waiting');
    await engine.stopWorker();
    expect(await send(runId, 'tick', 3)).toMatchObject({ status: 'taken', stepPath: 'third' });
    await engine.startWorker();
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: [1, 2, 3] });
  });

  it('that does not come in time fails its step, or gives null with onExpiry: continue', async () => {
    const run = await engine.run('plan: too-late\nsteps:\n  only: { signal: { name: x, expiresInMs: 1000 } }\n');
    expect(run).toMatchObject({ status: 'failed', error: { code: 'signal_expired', stepPath: 'only' } });
    const goesOn = await engine.run(
      'plan: without\nsteps:\n  only: { signal: { name: x, expiresInMs: 1000, onExpiry: continue } }\noutput: "${steps.only.output == null}"\n',
    );
    expect(goesOn).toMatchObject({ status: 'succeeded', output: true });
  });

  it('sent many times at once while its steps begin to wait reaches each of them, none twice', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: many
steps:
  each: { signal: { name: "part-\${item}" }, forEach: "\${range(40)}", concurrency: 40 }
output: "\${steps.each.output}"
`),
    );
    await Promise.all(Array.from({ length: 40 }, (_, part) => send(runId, `part-${part}`, part * part)));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: Array.from({ length: 40 }, (_, part) => part * part) });
  });

  it('is not kept without bound', async () => {
    const runId = await engine.start(
      await engine.save('plan: full\nsteps:\n  before: { wait: { forMs: 600000 } }\n  only: { signal: { name: x }, needs: [before] }\n'),
    );
    await engine.rig.system.sql`
      insert into kos.signals (id, workspace_id, run_id, name, position, payload, sent_by)
      select 'sig_' || n, ${engine.workspaceId}, ${runId}, 'x', n, '1', 'prn_sender' from generate_series(1, 1000) as n`;
    await expect(send(runId, 'x')).rejects.toMatchObject({ code: 'signal_buffer_full', status: 409 });
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
  });
});

describe('the store of Temporal, when it is lost while a run waits', () => {
  it('takes neither what was kept for later steps nor what came while nobody listened', async () => {
    const runId = await engine.start(
      await engine.save(`
plan: lost-store
steps:
  now: { signal: { name: now } }
  later: { signal: { name: later }, needs: [now] }
output: ["\${steps.now.output}", "\${steps.later.output}"]
`),
    );
    await engine.until(runId, (run) => run.status === 'waiting');
    expect(await send(runId, 'later', 'kept')).toMatchObject({ status: 'buffered' });
    await engine.loseWorkflow(runId);
    await send(runId, 'now', 'came');
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: ['came', 'kept'] });
  });
});
