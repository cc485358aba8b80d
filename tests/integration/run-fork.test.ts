import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acceptRun } from '#services/runs/accept.ts';
import { forkRun, type Rerun, replayRun, type RerunRequest } from '#services/runs/actions/fork.ts';
import { removeRunRows } from '#services/runs/remove.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
const evaluator = createEvaluator();
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(async () => {
  await engine.close();
  await evaluator.close();
});

async function made(rerun: Promise<Rerun>): Promise<Rerun> {
  const result = await rerun;
  engine.runIds.push(result.runId);
  engine.nudge();
  return result;
}
const dependencies = () => ({
  database: engine.rig.database,
  acceptRun: (request: Parameters<typeof acceptRun>[1]) =>
    acceptRun({ database: engine.rig.database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate }, request),
});
const by = (runId: string): RerunRequest => ({
  principal: { workspaceId: engine.workspaceId, principalId: 'prn_other', responsible: 'prn_other' },
  runId,
  reason: 'try again',
});

const source = (name: string, ending: string): string => `
plan: ${name}
input: { type: object, properties: { text: { type: string, default: one } } }
steps:
  big: { tool: test.big, with: { bytes: 50000 } }
  note: { artifact: { name: note.txt, content: "\${input.text}" }, needs: [big] }
  pay: { tool: test.append, with: { file: "${join(engine.home, name)}" }, needs: [note] }
  end: { transform: "${ending}", needs: [pay] }
output: { size: "\${size(steps.big.output)}", end: "\${steps.end.output}", note: "\${steps.note.output.artifactId}" }
`;

describe('a fork', () => {
  it('has the priority of the first, as a replay has', async () => {
    const first = await engine.start(await engine.save('plan: hurried\npriority: 1\nsteps:\n  only: { transform: 1 }\n'));
    await engine.ended(first);
    await engine.rig.system.sql`update kos.runs set priority = 2 where id = ${first}`;
    for (const again of [await made(forkRun(dependencies(), { ...by(first), from: 'only' })), await made(replayRun(dependencies(), by(first)))])
      expect(await engine.ended(again.runId)).toMatchObject({ status: 'succeeded', priority: 2 });
  });

  it('has the time that the first was given, as a replay has, and instants of its own alone', async () => {
    const plan = await engine.save('plan: timed\ntimeoutMs: 600000\nsteps:\n  only: { transform: 1 }\n');
    const first = await engine.start(plan, {}, { timeoutMs: 30_000, deadlineAt: new Date(Date.now() + 3_600_000).toISOString() });
    await engine.ended(first);
    const timeoutOf = async (runId: string) =>
      (await engine.rig.system.sql<{ timeoutMs: number }[]>`select timeout_ms::int as "timeoutMs" from kos.runs where id = ${runId}`)[0]?.timeoutMs;
    for (const again of [await made(forkRun(dependencies(), { ...by(first), from: 'only' })), await made(replayRun(dependencies(), by(first)))]) {
      expect(await engine.ended(again.runId)).toMatchObject({ status: 'succeeded', deadlineAskedAt: null });
      expect(await timeoutOf(again.runId)).toBe(30_000);
    }
    const deadlineAt = new Date(Date.now() + 7_200_000).toISOString();
    const own = await made(replayRun(dependencies(), { ...by(first), deadlineAt, timeoutMs: 40_000, priority: 1 }));
    expect(await engine.ended(own.runId)).toMatchObject({ deadlineAskedAt: deadlineAt, priority: 1 });
    expect(await timeoutOf(own.runId)).toBe(40_000);
  });

  it('is a new run that carries what came before by reference, and keeps it when the first run is deleted', async () => {
    const first = await engine.start(await engine.save(source('forked', '${input.text}')));
    const before = await engine.ended(first);
    await engine.save(source('forked', '${input.text}!').replace('plan: forked', 'plan: forked\nversion: 2'));
    const fork = await made(forkRun(dependencies(), { ...by(first), from: 'end', version: 2, input: { text: 'two' } }));
    expect(fork).toMatchObject({ carried: ['big', 'note', 'pay'], again: ['end'] });
    const run = await engine.ended(fork.runId);
    expect(run).toMatchObject({
      status: 'succeeded',
      output: { size: 50_000, end: 'two!', note: (before.output as { note: string }).note },
      origin: { kind: 'fork', id: first },
      plan: { version: 2 },
      startedBy: 'prn_other',
    });
    expect(await engine.linesOf('forked')).toEqual([`${first}/pay`]);
    expect((await engine.steps(fork.runId)).filter(({ metadata }) => metadata['carriedFrom'] === first).map(({ path }) => path)).toEqual([
      'big',
      'note',
      'pay',
    ]);
    const { sql } = engine.rig.system;
    await sql.begin((transaction) => removeRunRows(transaction, engine.workspaceId, [first]));
    const kept = await sql`select 1 from kos.output_references r join kos.outputs o on o.id = r.output_id where r.run_id = ${fork.runId}`;
    expect(kept).toHaveLength(1);
    expect(await sql`select 1 from kos.artifact_references r join kos.artifacts a on a.id = r.artifact_id where r.run_id = ${fork.runId}`).toHaveLength(1);
    expect((await engine.audit(fork.runId)).find(({ action }) => action === 'run.fork')).toMatchObject({
      actor: 'prn_other',
      data: { of: first, reason: 'try again' },
    });
  });

  it('makes effects of its own where they run again', async () => {
    const first = await engine.start(await engine.save(source('paid-again', 'x')));
    await engine.ended(first);
    const fork = await made(forkRun(dependencies(), { ...by(first), from: 'pay' }));
    expect((await engine.ended(fork.runId)).status).toBe('succeeded');
    expect(await engine.linesOf('paid-again')).toEqual([`${first}/pay`, `${fork.runId}/pay`]);
  });

  it('is refused where it cannot be, and writes nothing', async () => {
    const first = await engine.start(await engine.save(source('refused', 'x')));
    await engine.ended(first);
    const count = async (): Promise<number> => (await engine.rig.system.sql`select 1 from kos.runs`).length;
    const before = await count();
    await expect(forkRun(dependencies(), { ...by(first), from: 'nowhere' })).rejects.toMatchObject({ code: 'fork_step_unknown' });
    await expect(forkRun(dependencies(), { ...by(first), from: 'end', version: 7 })).rejects.toMatchObject({ code: 'plan_not_found' });
    await expect(forkRun(dependencies(), { ...by(first), from: 'end', input: { text: 1 } })).rejects.toMatchObject({ code: 'input_invalid' });
    expect(await count()).toBe(before);
  });

  it('is refused when its run is deleted, or changed by hand, before it is made', async () => {
    const first = await engine.start(await engine.save(source('overtaken', 'x')));
    await engine.ended(first);
    const { sql } = engine.rig.system;
    const after = (happens: () => Promise<unknown>) => {
      const { database, acceptRun: accept } = dependencies();
      return { database, acceptRun: async (request: Parameters<typeof acceptRun>[1]) => await happens().then(() => accept(request)) };
    };
    const runs = async (): Promise<number> => (await sql`select 1 from kos.runs`).length;
    const before = await runs();
    const changed = after(() => sql`update kos.steps set status = 'running' where run_id = ${first} and path = 'note'`);
    await expect(forkRun(changed, { ...by(first), from: 'end' })).rejects.toMatchObject({ code: 'fork_overtaken' });
    expect(await runs()).toBe(before);
    await sql`update kos.steps set status = 'succeeded' where run_id = ${first} and path = 'note'`;
    const deleted = after(() => sql.begin((transaction) => removeRunRows(transaction, engine.workspaceId, [first])));
    await expect(forkRun(deleted, { ...by(first), from: 'end' })).rejects.toMatchObject({ code: 'run_not_found' });
    expect(await runs()).toBe(before - 1);
  });

  it('keeps its run from being deleted while it carries over', async () => {
    const first = await engine.start(await engine.save(source('held', 'x')));
    await engine.ended(first);
    let refusal: unknown;
    await made(
      forkRun(dependencies(), {
        ...by(first),
        from: 'end',
        alsoInTransaction: async () => {
          refusal = await engine.rig.system.sql`select from kos.runs where id = ${first} for update nowait`.catch((error: unknown) => error);
        },
      }),
    );
    expect(refusal).toMatchObject({ code: '55P03' });
  });
});

describe('a replay', () => {
  it('is a new run of the same version, whatever the newest is', async () => {
    const first = await engine.start(await engine.save(source('replayed', 'old')));
    await engine.ended(first);
    await engine.save(source('replayed', 'new').replace('plan: replayed', 'plan: replayed\nversion: 2'));
    const { runId } = await made(replayRun(dependencies(), { ...by(first), input: { text: 'edited' }, labels: { why: 'again' } }));
    expect(await engine.ended(runId)).toMatchObject({
      status: 'succeeded',
      output: { end: 'old' },
      input: { text: 'edited' },
      labels: { why: 'again' },
      origin: { kind: 'replay', id: first },
    });
    expect(await engine.linesOf('replayed')).toHaveLength(2);
  });

  it('carries a step that repeats over without its rounds, and the artifacts that they wrote', async () => {
    const run = await engine.run(`
plan: forked-rounds
steps:
  write: { artifact: { name: "\${iteration}.txt", content: "\${iteration}" }, repeat: { until: "\${iteration == 2}", maxIterations: 9 } }
  after: { transform: "\${steps.write.output.name}" }
output: "\${steps.after.output}"
`);
    const fork = await made(forkRun(dependencies(), { ...by(run.id), from: 'after' }));
    expect(await engine.ended(fork.runId)).toMatchObject({ status: 'succeeded', output: '2.txt' });
    expect((await engine.steps(fork.runId)).map(({ path }) => path)).toEqual(['write', 'after']);
    const kept = await engine.rig.system.sql`select 1 from kos.artifact_references where run_id = ${fork.runId}`;
    expect(kept).toHaveLength(3);
  });
});
