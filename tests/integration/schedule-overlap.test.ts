import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Run } from '#schemas/run.ts';
import type { OverlapPolicy } from '#schemas/schedule.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';
import { makeTestSchedules } from '#tests/rig/test-schedules.ts';

/** Runs last 7 s and are due every 3 s: each policy has runs that are open when the next start is due, as it would with runs of 30 s. */
const lastsMs = 7_000;
const everyMs = 3_000;

let engine: TestEngine;
let schedules: Awaited<ReturnType<typeof makeTestSchedules>>;
beforeAll(async () => {
  engine = await makeTestEngine();
  schedules = await makeTestSchedules(engine);
  await engine.save(`plan: lasting\nsteps:\n  rest: { wait: { forMs: ${lastsMs} } }\noutput: done\n`);
});
afterAll(async () => {
  await schedules.close();
  await engine.close();
});

/** Lets a schedule start so many runs, stops it, and waits for the end of all. */
async function runsUnder(overlap: OverlapPolicy, count: number): Promise<{ runs: Run[]; nominal: number[] }> {
  const id = await schedules.create({ name: `every-${overlap.toLowerCase()}`, plan: 'lasting', spec: { intervals: [{ everyMs }] }, overlap });
  await schedules.untilStarts(id, count);
  await schedules.pause(id);
  // What is buffered still comes.
  let starts = await schedules.untilStarts(id, count);
  for (const start of starts) await engine.ended(start.runId ?? '');
  await sleep(1_500);
  starts = await schedules.untilStarts(id, count);
  const runs = await Promise.all(starts.map(({ runId }) => engine.ended(runId ?? '')));
  return { runs, nominal: starts.map(({ nominalAt }) => Date.parse(nominalAt)) };
}

const begin = (run: Run): number => Date.parse(run.createdAt);
const end = (run: Run): number => Date.parse(run.finishedAt ?? '');
const pairs = <Item>(items: Item[]): [Item, Item][] => items.slice(1).map((item, index) => [items[index] as Item, item]);
const overlapping = (runs: Run[]): number => pairs(runs).filter(([one, next]) => begin(next) < end(one)).length;
const statuses = (runs: Run[]): string[] => runs.map(({ status }) => status);

describe.concurrent('a schedule whose runs last longer than its interval', () => {
  it('with skip leaves out what is due meanwhile', async () => {
    const { runs, nominal } = await runsUnder('skip', 2);
    expect([statuses(runs), overlapping(runs)]).toEqual([['succeeded', 'succeeded'], 0]);
    for (const [one, next] of pairs(nominal)) expect(next - one).toBeGreaterThan(everyMs);
  });

  it('with bufferOne makes one more run as soon as the open one ends', async () => {
    const { runs, nominal } = await runsUnder('bufferOne', 3);
    expect([new Set(statuses(runs)), overlapping(runs)]).toEqual([new Set(['succeeded']), 0]);
    // The one that waited is that of the very next time.
    expect((nominal[1] ?? 0) - (nominal[0] ?? 0)).toBe(everyMs);
    for (const [one, next] of pairs(runs)) expect(begin(next) - end(one)).toBeLessThan(everyMs);
  });

  it('with bufferAll makes them all, one after the other', async () => {
    const { runs, nominal } = await runsUnder('bufferAll', 3);
    expect([new Set(statuses(runs)), overlapping(runs)]).toEqual([new Set(['succeeded']), 0]);
    for (const [one, next] of pairs(nominal)) expect(next - one).toBe(everyMs);
  });

  it('with cancelOther cancels the open one, on record, and starts when that has ended', async () => {
    const { runs } = await runsUnder('cancelOther', 3);
    expect([new Set(statuses(runs.slice(0, -1))), overlapping(runs)]).toEqual([new Set(['cancelled']), 0]);
    const decided = (await engine.audit(runs[0]?.id ?? '')).find(({ action }) => action === 'run.cancel');
    expect(decided).toMatchObject({ actor: 'kos', data: { reason: expect.stringContaining('was due') } });
  });

  it('with terminateOther ends the open one at once', async () => {
    const { runs } = await runsUnder('terminateOther', 3);
    expect(new Set(statuses(runs.slice(0, -1)))).toEqual(new Set(['terminated']));
    expect(runs[0]?.error).toMatchObject({ code: 'terminated', message: expect.stringContaining(runs[1]?.id ?? '') });
    for (const [one, next] of pairs(runs)) expect(begin(next) - end(one)).toBeLessThan(everyMs);
  });

  it('with allowAll lets them run side by side', async () => {
    const { runs, nominal } = await runsUnder('allowAll', 3);
    expect([new Set(statuses(runs)), overlapping(runs)]).toEqual([new Set(['succeeded']), runs.length - 1]);
    for (const [one, next] of pairs(nominal)) expect(next - one).toBe(everyMs);
  });
});
