import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Reason } from '#core/engine/reason.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { explainRun } from '#services/runs/explain.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine({ reconciler: false });
});
afterAll(() => engine.close());

const pause = (runId: string) => engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
const resume = (runId: string) => engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
const why = async (runId: string): Promise<Reason[]> => (await engine.act(runId, (transaction) => explainRun(engine.workflows, transaction, runId))).reasons;

const plan = (name: string, undo = ''): string => `
plan: ${name}
timeoutMs: 2500
steps:
  one: { tool: test.note, with: { file: "${engine.home}/${name}", text: one }${undo} }
  hold: { wait: { forMs: 600000 }, needs: [one] }
`;

describe('a run that is paused beyond its deadline', () => {
  it('ends by it where nothing is to be undone', async () => {
    const runId = await engine.start(await engine.save(plan('no-undo')));
    await engine.untilStep(runId, 'hold', 'waiting');
    await pause(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { code: 'run_timeout' } });
  });

  it('says that it has passed, and what comes with the resume, where something is', async () => {
    const name = 'with-undo';
    const runId = await engine.start(await engine.save(plan(name, `, undo: { tool: test.note, with: { file: "${engine.home}/${name}", text: un-one } }`)));
    await engine.untilStep(runId, 'hold', 'waiting');
    await pause(runId);
    const { deadlineAt } = await engine.read(runId);
    const ahead = (await why(runId)).find(({ blockedBy, stepPath }) => stepPath === null && blockedBy.kind === 'timer');
    expect(ahead).toMatchObject({ until: deadlineAt, blockedBy: { text: `The deadline of the run, ${deadlineAt}, stays while it is paused.` } });
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    const reasons = await why(runId);
    expect(reasons.find(({ stepPath, blockedBy }) => stepPath === null && blockedBy.kind === 'ending')).toMatchObject({
      since: deadlineAt,
      until: null,
      unblocks: 'With the resume nothing more starts: what was done is undone, and the run fails with run_timeout.',
      command: `kai run resume ${runId}`,
    });
    expect(reasons.find(({ stepPath }) => stepPath === 'hold')).toMatchObject({ until: null, blockedBy: { kind: 'ending' }, command: null });
    await resume(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'failed', error: { code: 'run_timeout' } });
    expect(await engine.linesOf(name)).toHaveLength(2);
  });
});
