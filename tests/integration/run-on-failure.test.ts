import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Run } from '#schemas/run.ts';
import { removePlan } from '#services/plans/remove.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { handleFailure } from '#services/runs/on-failure.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
  await engine.save(`
plan: tell
input: { type: object, required: [failure], properties: { failure: { type: object }, customer: { type: string } } }
steps:
  say: { transform: "\${input.failure.code}" }
`);
});
afterAll(() => engine.close());

const failing = (name: string, onFailure: string): string => `
plan: ${name}
input: { type: object, properties: { customer: { type: string }, failure: { type: object } } }
onFailure: ${onFailure}
steps:
  pay: { tool: test.fail, with: { times: 99 }, retry: { maxAttempts: 1 } }
`;

/** The runs that failures of a run started. */
const startedBy = (runId: string) =>
  engine.rig.system.sql<{ id: string }[]>`select id from kos.runs where origin->>'kind' = 'failure' and origin->>'id' = ${runId}`;
const handled = async (runId: string): Promise<Run> => {
  const run = await engine.until(runId, ({ onFailure }) => onFailure !== null);
  const started = run.onFailure?.runId ?? null;
  if (started !== null) engine.runIds.push(started);
  return run;
};
/** Nothing is left to be told to Temporal or started. */
const settled = async (): Promise<void> => {
  while ((await engine.rig.system.sql`select from kos.outbox`).length > 0) await sleep(20);
};
const accepting = () => ({ database: engine.rig.database, validateInput: engine.evaluator.validateInput, evaluate: engine.evaluator.evaluate });

describe('a run that fails', () => {
  it('starts the plan that its own plan names, once, told which run it was, why and where', async () => {
    const failed = await engine.ended(
      await engine.start(await engine.save(failing('charge', '{ plan: tell, input: { customer: "${input.customer}" } }')), { customer: 'c-17' }),
    );
    const { onFailure } = await handled(failed.id);
    const handler = await engine.ended(onFailure?.runId ?? '');
    expect(handler).toMatchObject({
      status: 'succeeded',
      plan: { name: 'tell' },
      origin: { kind: 'failure', id: failed.id },
      startedBy: failed.startedBy,
      responsible: failed.responsible,
      input: { customer: 'c-17', failure: { runId: failed.id, plan: 'charge', code: failed.error?.code, stepPath: 'pay' } },
    });
    // However often it is asked, and though the run is retried and fails again.
    await Promise.all(
      Array.from({ length: 5 }, () => handleFailure(accepting(), { workspaceId: engine.workspaceId, runId: failed.id, payload: { error: null } })),
    );
    await engine.act(failed.id, (transaction, change) => retryRun(transaction, { ...change, reason: null }));
    await engine.until(failed.id, ({ status }) => status === 'running');
    await engine.ended(failed.id);
    await settled();
    expect(await startedBy(failed.id)).toEqual([{ id: handler.id }]);
  });

  it('as what a failure started, or below that, starts nothing', async () => {
    await engine.save(failing('again', '{ plan: again }'));
    const failed = await engine.ended(await engine.start('again'));
    const { onFailure } = await handled(failed.id);
    const second = await engine.ended(onFailure?.runId ?? '');
    expect(second).toMatchObject({ status: 'failed', onFailure: null });

    await engine.save(failing('inner', '{ plan: tell }'));
    await engine.save('plan: outer\ninput: { type: object }\nsteps:\n  call: { plan: inner, with: {} }\n');
    await engine.save(failing('first', '{ plan: outer }'));
    const first = await engine.ended(await engine.start('first'));
    const outer = await engine.ended((await handled(first.id)).onFailure?.runId ?? '');
    const [inner] = await engine.rig.system.sql<{ id: string }[]>`select id from kos.runs where parent_run_id = ${outer.id}`;
    engine.runIds.push(inner?.id ?? '');
    await settled();
    expect(await engine.read(inner?.id ?? '')).toMatchObject({ status: 'failed', onFailure: null });
    expect([await startedBy(second.id), await startedBy(inner?.id ?? '')]).toEqual([[], []]);
  });

  it('says why nothing could be started', async () => {
    await engine.save('plan: picky\ninput: { type: object, required: [level], properties: { level: { type: integer } } }\nsteps:\n  say: { transform: 1 }\n');
    const failed = await engine.ended(await engine.start(await engine.save(failing('unheard', '{ plan: picky }'))));
    expect((await handled(failed.id)).onFailure).toMatchObject({ runId: null, error: { code: 'input_invalid' } });
    expect(await engine.audit(failed.id)).toContainEqual(
      expect.objectContaining({ action: 'run.on_failure', data: { plan: 'picky', refused: 'input_invalid' } }),
    );
    expect(await startedBy(failed.id)).toEqual([]);
  });

  it('and is cancelled instead, starts nothing; the plan that would run is in use', async () => {
    const runId = await engine.start(await engine.save('plan: slow\nonFailure: { plan: tell }\nsteps:\n  rest: { wait: { forMs: 600000 } }\n'));
    await engine.untilStep(runId, 'rest', 'waiting');
    await engine.cancel(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled', onFailure: null });
    await settled();
    expect(await startedBy(runId)).toEqual([]);
    const removing = engine.act(runId, (transaction) => removePlan(transaction, { workspaceId: engine.workspaceId, actor: 'prn_test', name: 'tell' }));
    await expect(removing).rejects.toMatchObject({ code: 'plan_in_use' });
  });
});
