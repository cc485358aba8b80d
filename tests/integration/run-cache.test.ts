import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import type { Run } from '#schemas/run.ts';
import { clearCache, findKept } from '#services/cache/entries.ts';
import { startPruning } from '#services/duties/pruning.ts';
import { newId } from '#services/ids.ts';
import { forkRun, replayRun } from '#services/runs/actions/fork.ts';
import { acceptRun } from '#services/runs/accept.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { deleteRun } from '#services/runs/remove.ts';
import { makeArtifacts } from '#tests/rig/engine-worker.ts';
import { createScriptedModelServer, type ScriptedModelServer } from '#tests/scripted-model-server/server.ts';
import { makeTestEngine, type StepView, type TestEngine } from '#tests/rig/test-engine.ts';

const hourMs = 3_600_000;
const usage = { promptTokens: 1_000, completionTokens: 100 };
const evaluator = createEvaluator();

let models: ScriptedModelServer;
let engine: TestEngine;
beforeAll(async () => {
  models = await createScriptedModelServer([
    { kind: 'text', text: 'asked once', when: 'twice the same', usage },
    { kind: 'text', text: 'by the small one', when: 'which model', usage },
    { kind: 'text', text: 'by the large one', when: 'which model', usage },
  ]);
  engine = await makeTestEngine({ openaiUrl: models.url });
});
afterAll(async () => {
  await engine.close();
  await models.close();
  await evaluator.close();
});

/** A plan whose one step leaves a line in a file each time that it is worked on. */
const looking = (name: string, more: { cache?: string; input?: string; head?: string; step?: string } = {}): string => `
plan: ${name}
${more.head ?? ''}
input: { type: object, properties: { about: { type: string, default: it }, folder: { type: string } } }
steps:
  look:
    tool: test.repeat
    with: { file: "\${input.folder}/${name}-\${input.about}.txt" }
    cache: ${more.cache ?? `{ ttlMs: ${hourMs} }`}
    ${more.step ?? ''}
output: "\${steps.look.output}"
`;

const start = async (source: string, input: JsonObject = {}, more: { cache?: boolean } = {}): Promise<Run> =>
  engine.ended(await engine.start(await engine.save(source), { ...(source.includes('folder:') ? { folder: engine.home } : {}), ...input }, more));
const calls = async (name: string, about = 'it'): Promise<number> => (await engine.linesOf(`${name}-${about}.txt`)).length;

const stepOf = async (runId: string, path = 'look'): Promise<StepView> => {
  const step = (await engine.steps(runId)).find((row) => row.path === path);
  if (step === undefined) throw new Error(`${runId} has no step ${path}`);
  return step;
};

const remove = (runId: string): Promise<void> =>
  deleteRun(
    { system: engine.rig.system, artifacts: makeArtifacts({ home: engine.home, artifacts: null }), now: () => Date.now() },
    { workspaceId: engine.workspaceId, actor: 'prn_test', runId },
  );

const clear = (plan: string | null): Promise<number> =>
  engine.rig.database.inWorkspace(engine.workspaceId, (transaction) => clearCache(transaction, { workspaceId: engine.workspaceId, actor: 'prn_test', plan }));

describe('a step with cache', () => {
  it('takes the output of the one before it that had the same input, and says so in row, event and audit entry', async () => {
    const first = await start(looking('same'));
    const second = await start(looking('same'));
    expect(second).toMatchObject({ status: 'succeeded', error: null, output: first.output, costMicros: 0 });
    expect(await calls('same')).toBe(1);
    const reusedFrom = { runId: first.id, stepPath: 'look' };
    expect(await stepOf(second.id)).toMatchObject({
      status: 'succeeded',
      attempt: 1,
      metadata: { tool: 'test.repeat', toolVersion: 1, reusedFrom: { ...reusedFrom, at: expect.stringMatching(/^\d{4}-/) as unknown } },
    });
    expect((await stepOf(first.id)).metadata.reusedFrom).toBeUndefined();
    const events = await engine.rig.system.sql<{ type: string; data: JsonObject }[]>`
      select type, data from kos.events where run_id = ${second.id} and type like 'step.%' order by inserted`;
    expect(events.map(({ type }) => type)).toEqual(['step.started', 'step.succeeded']);
    expect(events[1]?.data).toMatchObject({ stepPath: 'look', reusedFrom });
    const audit = (await engine.audit(second.id)).filter(({ action }) => action === 'step.succeeded');
    expect(audit).toMatchObject([{ actor: 'kos', data: { stepPath: 'look', reusedFrom } }]);
    // Nothing was intended, for nothing was tried.
    expect(await engine.rig.system.sql`select 1 from kos.effects where run_id = ${second.id}`).toHaveLength(0);
  });

  it('does its own work for another input, and without cache', async () => {
    await start(looking('others'));
    await start(looking('others'), { about: 'that' });
    expect([await calls('others'), await calls('others', 'that')]).toEqual([1, 1]);
    const uncached = looking('others').replace(/ {4}cache: .*\n/, '');
    await start(uncached);
    expect(await calls('others')).toBe(2);
  });

  it('takes nothing older than its own ttlMs, nor than that of the step that kept it', async () => {
    await start(looking('old', { cache: '{ ttlMs: 3600000 }' }));
    await sleep(20);
    const second = await start(looking('old', { cache: '{ ttlMs: 1 }' }));
    expect(await calls('old')).toBe(2);
    await sleep(20);
    await start(looking('old', { cache: '{ ttlMs: 3600000 }' }));
    expect(await calls('old')).toBe(3);
    expect((await stepOf(second.id)).metadata.reusedFrom).toBeUndefined();
  });

  it('shares with other plans only where its scope is the workspace', async () => {
    const other = (scope: string, name: string): string =>
      looking('shared', { cache: `{ ttlMs: ${hourMs}, scope: ${scope} }` }).replace('plan: shared', `plan: ${name}`);
    await start(other('plan', 'shared'));
    await start(other('plan', 'shared-by-plan'));
    expect(await calls('shared')).toBe(2);
    await start(other('workspace', 'shared-a'));
    expect(await calls('shared')).toBe(3);
    const last = await start(other('workspace', 'shared-b'));
    expect(await calls('shared')).toBe(3);
    expect((await stepOf(last.id)).metadata.reusedFrom).toBeDefined();
  });

  it('shares nothing with another workspace', async () => {
    await start(looking('mine', { cache: `{ ttlMs: ${hourMs}, scope: workspace }` }));
    const [entry] = await engine.rig.system.sql<{ key: string }[]>`select key from kos.cache_entries where plan_name = 'mine'`;
    const found = (workspaceId: string) => engine.rig.database.inWorkspace(workspaceId, ({ sql }) => findKept(sql, entry?.key ?? '', hourMs));
    expect(await found(engine.workspaceId)).toMatchObject({ stepPath: 'look' });
    expect(await found(newId('workspace'))).toBeNull();
  });

  it('keeps nothing of a failed attempt, and does its work again after it', async () => {
    const source = `
plan: flaky-look
steps:
  look: { tool: test.fail, with: { times: 1 }, cache: { ttlMs: ${hourMs} }, retry: { maxAttempts: 1 }, onError: continue }
`;
    await start(source);
    const second = await start(source);
    expect(await stepOf(second.id)).toMatchObject({ status: 'failed' });
    const retried = source.replace('maxAttempts: 1', 'maxAttempts: 3, initialDelayMs: 10');
    expect(await stepOf((await start(retried)).id)).toMatchObject({ status: 'succeeded', attempt: 2 });
    expect(await stepOf((await start(retried)).id)).toMatchObject({ status: 'succeeded', attempt: 1, metadata: { reusedFrom: { stepPath: 'look' } } });
  });
});

describe('a model call with cache', () => {
  const asking = (prompt: string, model = 'fast'): string => `
plan: asking
steps:
  ask: { llm: { model: ${model}, prompt: ${prompt} }, cache: { ttlMs: ${hourMs} } }
output: "\${steps.ask.output}"
`;

  it('is made, paid and counted once', async () => {
    const first = await start(asking('twice the same'));
    const second = await start(asking('twice the same'));
    expect([first.output, second.output]).toEqual(['asked once', 'asked once']);
    expect(models.requests.filter(({ text }) => text.includes('twice the same'))).toHaveLength(1);
    const counted = await engine.rig.system.sql<{ run_id: string }[]>`select run_id from kos.model_calls where run_id in (${first.id}, ${second.id})`;
    expect(counted.map(({ run_id }) => run_id)).toEqual([first.id]);
    expect((await stepOf(first.id, 'ask')).metadata).toMatchObject({ usage: { inputTokens: 1_000 } });
    const { metadata } = await stepOf(second.id, 'ask');
    expect(metadata).toMatchObject({ provider: 'openai', model: 'scripted', reusedFrom: { runId: first.id } });
    expect(metadata.usage).toBeUndefined();
  });

  it('is made again for another model; an alias is what it stands for', async () => {
    expect((await start(asking('which model'))).output).toBe('by the small one');
    expect((await start(asking('which model', 'openai/large'))).output).toBe('by the large one');
    expect((await start(asking('which model', 'openai/scripted'))).output).toBe('by the small one');
  });

  it('keeps the label of a model that is none', async () => {
    const first = await start(asking('labelled', 'builtin/summary'));
    const second = await start(asking('labelled', 'builtin/summary'));
    const { metadata } = await stepOf(second.id, 'ask');
    expect(metadata.labels).toEqual([expect.stringContaining('builtin')]);
    expect(metadata.reusedFrom).toBeDefined();
    for (const { id } of [first, second]) {
      const told = await engine.rig.system
        .sql`select data->'labels' as labels from kos.events where run_id = ${id} and type = 'step.succeeded' and data->>'stepPath' = 'ask'`;
      expect(told).toEqual([{ labels: metadata.labels }]);
      expect((await engine.audit(id)).find(({ action }) => action === 'step.succeeded')?.data).toMatchObject({ labels: metadata.labels });
    }
  });
});

describe('cache in a forEach, a chain, a transform', () => {
  it('holds item by item', async () => {
    const source = `
plan: look-at-each
input: { type: object, properties: { folder: { type: string }, list: { type: array, items: { type: string } } } }
steps:
  look:
    tool: test.repeat
    with: { file: "\${input.folder}/each-\${item}.txt" }
    forEach: "\${input.list}"
    concurrency: 1
    cache: { ttlMs: ${hourMs} }
output: "\${size(steps.look.output)}"
`;
    await start(source, { list: ['a', 'b', 'a'] });
    expect([await calls('each', 'a'), await calls('each', 'b')]).toEqual([1, 1]);
    const second = await start(source, { list: ['c', 'b'] });
    expect([await calls('each', 'b'), await calls('each', 'c')]).toEqual([1, 1]);
    expect((await stepOf(second.id, 'look[1]')).metadata.reusedFrom).toMatchObject({ stepPath: 'look[1]' });
    expect((await stepOf(second.id, 'look[0]')).metadata.reusedFrom).toBeUndefined();
  });

  it('works inside a fused chain, from the first step to the one that closes the run', async () => {
    const source = `
plan: cached-chain
fuse: effects
input: { type: object, properties: { folder: { type: string } } }
steps:
  before: { transform: "\${input.folder}" }
  look: { tool: test.repeat, with: { file: "\${steps.before.output}/chain-it.txt" }, cache: { ttlMs: ${hourMs} } }
  split: { tool: text.lines, with: { text: "\${string(steps.look.output.at)}" }, cache: { ttlMs: ${hourMs} } }
  last: { transform: { text: "\${steps.split.output.lines[0]}" }, cache: { ttlMs: ${hourMs} } }
output: "\${steps.last.output.text}"
`;
    const first = await start(source);
    const second = await start(source);
    expect(second).toMatchObject({ error: null, output: first.output });
    expect(await calls('chain')).toBe(1);
    const shape = await engine.rig.system.sql<{ units: number[][] }[]>`select shape->'units' as units from kos.plan_versions where name = 'cached-chain'`;
    expect(shape[0]?.units).toEqual([[0, 1, 2, 3]]);
    const reused = (await engine.steps(second.id)).map(({ path, metadata }) => [path, (metadata.reusedFrom as JsonObject | undefined)?.stepPath]);
    expect(reused).toEqual([
      ['before', undefined],
      ['look', 'look'],
      ['split', 'split'],
      ['last', 'last'],
    ]);
  });

  it('lets every round of a repeat ask anew, and the next run reuse the answers', async () => {
    const source = looking('rounds', { step: 'repeat: { until: "${iteration == 2}", maxIterations: 5 }' });
    await start(source);
    expect(await calls('rounds')).toBe(3);
    const second = await start(source);
    expect(await calls('rounds')).toBe(3);
    expect((await stepOf(second.id, 'look#2')).metadata.reusedFrom).toMatchObject({ stepPath: 'look#2' });
  });

  it('of a transform hangs on what its expressions read, and nothing else', async () => {
    const source = `
plan: cached-transform
input: { type: object, properties: { folder: { type: string }, n: { type: integer }, other: { type: integer } } }
steps:
  look: { transform: { sum: "\${sum(range(input.n))}" }, cache: { ttlMs: ${hourMs} } }
  own: { transform: "\${run.id}", cache: { ttlMs: ${hourMs} } }
output: "\${steps.look.output.sum}"
`;
    const first = await start(source, { n: 10, other: 1 });
    const second = await start(source, { n: 10, other: 2 });
    expect(second.output).toBe(45);
    expect((await stepOf(second.id)).metadata.reusedFrom).toMatchObject({ runId: first.id });
    expect((await stepOf(second.id, 'own')).metadata.reusedFrom).toBeUndefined();
    const third = await start(source, { n: 11 });
    expect([third.output, (await stepOf(third.id)).metadata.reusedFrom]).toEqual([55, undefined]);
  });
});

describe('who wants none of it', () => {
  it('starts a run without: its steps do their work, and what they find out is kept for the next', async () => {
    await start(looking('fresh'));
    const without = await start(looking('fresh'), {}, { cache: false });
    expect(without.cache).toBe(false);
    expect(await calls('fresh')).toBe(2);
    const third = await start(looking('fresh'));
    expect(await calls('fresh')).toBe(2);
    expect((await stepOf(third.id)).metadata.reusedFrom).toMatchObject({ runId: without.id });
  });

  it('hands that on to sub-runs, to a fork and to a replay', async () => {
    await engine.save(looking('called'));
    const calling =
      'plan: calling\ninput: { type: object, properties: { folder: { type: string } } }\nsteps:\n  call: { plan: called, with: { folder: "${input.folder}" } }\n';
    await start(calling);
    await start(calling);
    expect(await calls('called')).toBe(1);
    const without = await start(calling, {}, { cache: false });
    expect(await calls('called')).toBe(2);
    const accept = { database: engine.rig.database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate };
    const dependencies = { database: engine.rig.database, acceptRun: (request: Parameters<typeof acceptRun>[1]) => acceptRun(accept, request) };
    const principal = { workspaceId: engine.workspaceId, principalId: 'prn_test', responsible: 'prn_test' };
    const again = [
      await replayRun(dependencies, { principal, runId: without.id, reason: null }),
      await forkRun(dependencies, { principal, runId: without.id, from: 'call', cache: true, reason: null }),
    ];
    engine.nudge();
    for (const { runId } of again) engine.runIds.push(runId);
    const runs = await Promise.all(again.map(({ runId }) => engine.ended(runId)));
    expect(runs.map(({ status, cache }) => [status, cache])).toEqual([
      ['succeeded', false],
      ['succeeded', true],
    ]);
    expect(await calls('called')).toBe(3);
  });

  it('clears what was kept, of one plan or of all, on the record', async () => {
    await start(looking('cleared'));
    await start(looking('uncleared'));
    expect(await clear('cleared')).toBe(1);
    await start(looking('cleared'));
    await start(looking('uncleared'));
    expect([await calls('cleared'), await calls('uncleared')]).toEqual([2, 1]);
    expect(await engine.audit('cleared')).toEqual(
      expect.arrayContaining([expect.objectContaining({ action: 'cache.clear', actor: 'prn_test', data: { plan: 'cleared', entries: 1 } })]),
    );
    expect(await clear(null)).toBeGreaterThan(1);
    await start(looking('uncleared'));
    expect(await calls('uncleared')).toBe(2);
    await expect(clear('not-a-plan')).rejects.toMatchObject({ code: 'plan_not_found' });
  });
});

describe('what is too old', () => {
  it('is forgotten by itself; what is not stays', async () => {
    await start(looking('aged'));
    await start(looking('young'));
    const entries = async (): Promise<string[]> =>
      (await engine.rig.system.sql<{ plan: string }[]>`select plan_name as plan from kos.cache_entries where plan_name in ('aged', 'young')`).map(
        ({ plan }) => plan,
      );
    expect((await entries()).toSorted()).toEqual(['aged', 'young']);
    await engine.rig.system.sql`update kos.cache_entries set expires_at = clock_timestamp() where plan_name = 'aged'`;
    const artifacts = makeArtifacts({ home: engine.home, artifacts: null });
    const pruning = startPruning({ system: engine.rig.system, artifacts, log: engine.log, now: Date.now });
    await expect.poll(entries, { timeout: 60_000 }).toEqual(['young']);
    await pruning.stop();
  });
});

describe('the run that an output comes from', () => {
  const large = `
plan: large-look
steps:
  look: { tool: test.big, with: { bytes: 100000 }, cache: { ttlMs: ${hourMs} } }
output: "\${size(steps.look.output)}"
`;
  const outputIdOf = async (runId: string): Promise<string | null> => {
    const [row] = await engine.rig.system.sql<{ id: string | null }[]>`select output_id as id from kos.steps where run_id = ${runId} and path = 'look'`;
    return row?.id ?? null;
  };
  const isThere = async (outputId: string | null): Promise<boolean> =>
    (await engine.rig.system.sql`select 1 from kos.outputs where id = ${outputId}`).length === 1;

  it('may be deleted: its output stays until the last run that refers to it goes, and is reused no more', async () => {
    const first = await start(large);
    const second = await start(large);
    const outputId = await outputIdOf(first.id);
    expect(outputId).not.toBeNull();
    expect(await outputIdOf(second.id)).toBe(outputId);
    await remove(first.id);
    expect(await isThere(outputId)).toBe(true);
    expect((await stepOf(second.id)).metadata.reusedFrom).toMatchObject({ runId: first.id });
    const third = await start(large);
    expect(third.output).toBe(100_000);
    expect(await outputIdOf(third.id)).not.toBe(outputId);
    await remove(second.id);
    expect(await isThere(outputId)).toBe(false);
    expect(await isThere(await outputIdOf(third.id))).toBe(true);
  });

  it('is found by nobody who looks while it is being deleted', async () => {
    const first = await start(large.replaceAll('large-look', 'going-look'));
    const outputId = await outputIdOf(first.id);
    const [entry] = await engine.rig.system.sql<{ key: string }[]>`select key from kos.cache_entries where run_id = ${first.id}`;
    const found = Promise.withResolvers<void>();
    const deleting = found.promise.then(() => remove(first.id));
    const kept = await engine.rig.database.inWorkspace(engine.workspaceId, async ({ sql }) => {
      const kept = await findKept(sql, entry?.key ?? '', hourMs);
      // Whoever deletes waits for this transaction, and then finds its reference.
      found.resolve();
      await sleep(300);
      await sql`insert into kos.output_references (workspace_id, output_id, run_id) values (${engine.workspaceId}, ${outputId}, 'run_of_the_test')`;
      return kept;
    });
    await deleting;
    expect(kept?.outputId).toBe(outputId);
    expect(await isThere(outputId)).toBe(true);
    expect(await engine.rig.system.sql`select 1 from kos.cache_entries where key = ${entry?.key ?? ''}`).toHaveLength(0);
  });
});
