import { afterAll, beforeAll, expect, it } from 'vitest';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import { workspaceSettingsSchema } from '#schemas/settings.ts';
import { pruneEvents, pruneRuns } from '#services/duties/pruning.ts';
import { join } from 'node:path';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const { retention } = workspaceSettingsSchema.parse({});
const artifacts = () => createArtifactStore({ directory: join(engine.home, 'artifacts') });
const pruneAllRuns = () =>
  pruneRuns({ system: engine.rig.system, artifacts: artifacts(), log: engine.log, now: Date.now }, { workspaceId: engine.workspaceId, retention });
const pruneAllEvents = () => pruneEvents(engine.rig.system, { workspaceId: engine.workspaceId, retention });

/** As if all of it had happened so many days ago. Here no sequencer numbers events: those that it has not seen stay. */
async function age(runId: string, days: number): Promise<void> {
  const { sql } = engine.rig.system;
  await sql`update kos.runs set created_at = created_at - make_interval(days => ${days}), finished_at = finished_at - make_interval(days => ${days}) where id = ${runId}`;
  await sql`update kos.events set at = at - make_interval(days => ${days}), seq = coalesce(seq, inserted) where run_id = ${runId}`;
}

async function left(runId: string): Promise<{ run: boolean; events: boolean }> {
  const { sql } = engine.rig.system;
  const [run, events] = await Promise.all([sql`select from kos.runs where id = ${runId}`, sql`select from kos.events where run_id = ${runId}`]);
  return { run: run.length > 0, events: events.length > 0 };
}

it('takes old ended runs, their events before them; open, pinned and young ones stay whole', async () => {
  expect(retention).toMatchObject({ runsDays: 90, eventsDays: 30 });
  const ended = await engine.save('plan: ended\nsteps:\n  a: { artifact: { name: a.txt, content: "kept as long as its run" } }\n');
  const waits = await engine.save('plan: waits\nsteps:\n  a: { signal: { name: go } }\n');
  const finish = async (): Promise<string> => {
    const runId = await engine.start(ended);
    await engine.ended(runId);
    return runId;
  };
  const [young, middle, old, pinned] = [await finish(), await finish(), await finish(), await finish()];
  const open = await engine.start(waits);
  await engine.untilStep(open, 'a', 'waiting');
  await engine.rig.system.sql`update kos.runs set pinned = true where id = ${pinned}`;
  await age(young, 29);
  await age(middle, 31);
  for (const runId of [old, pinned, open]) await age(runId, 91);

  expect(await pruneAllEvents()).toBe(false);
  const whole = { run: true, events: true };
  for (const runId of [young, pinned, open]) expect(await left(runId), runId).toEqual(whole);
  for (const runId of [middle, old]) expect(await left(runId), runId).toEqual({ run: true, events: false });

  expect(await pruneAllRuns()).toBe(false);
  expect(await left(old)).toEqual({ run: false, events: false });
  for (const runId of [young, pinned, open]) expect(await left(runId), runId).toEqual(whole);
  expect((await left(middle)).run).toBe(true);
  expect(await engine.audit(old)).toContainEqual(expect.objectContaining({ action: 'run.prune', actor: 'kos', data: { afterDays: 90 } }));
  // The content of the four is one and the same: three runs still refer to it.
  expect(await engine.rig.system.sql`select id from kos.artifacts`).toHaveLength(3);

  await engine.cancel(open);
  await engine.ended(open);
});

it('takes many in small batches, and says when there are more', async () => {
  const plan = await engine.save('plan: many\nsteps:\n  a: { transform: "a" }\n');
  const runIds: string[] = [];
  for (let run = 0; run < 51; run += 1) runIds.push(await engine.start(plan));
  for (const runId of runIds) {
    await engine.ended(runId);
    await age(runId, 91);
  }
  const there = async (): Promise<number> => (await engine.rig.system.sql`select from kos.runs where plan_name = 'many'`).length;
  expect(await pruneAllRuns()).toBe(true);
  expect(await there()).toBe(1);
  expect(await pruneAllRuns()).toBe(false);
  expect(await there()).toBe(0);
});
