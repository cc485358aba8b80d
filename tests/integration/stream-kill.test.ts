import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EventRecord } from '#services/records/record.ts';
import { recordEvents } from '#services/records/record.ts';
import { Random } from '#tests/engine-simulation/random.ts';
import { type ApiProcess, makeApiProcess } from '#tests/rig/api-process.ts';
import { followByEventStream, followBySocket, type StreamAsk, type StreamClient } from '#tests/rig/stream-clients.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let rig: TestDatabase;
let api: ApiProcess;

beforeAll(async () => {
  rig = await makeTestDatabase();
  api = await makeApiProcess(rig);
  await api.start();
});

afterAll(async () => {
  await api.close();
  await rig.remove();
});

const seed = 20_261_127;
const transactionsOfWriter = 25;

/** Ids in the sequencer's order, of a run or of the whole workspace, after a number. */
async function record(runId: string | null, afterSeq = 0): Promise<string[]> {
  const { sql } = rig.system;
  const rows = await sql<{ id: string }[]>`
    select id from kos.events where seq > ${afterSeq} and ${runId === null ? sql`true` : sql`run_id = ${runId}`} order by seq`;
  return rows.map(({ id }) => id);
}

const lastSeq = async (): Promise<number> => (await rig.system.sql<{ last: number }[]>`select last_event_seq as last from kos.sequencer`)[0]?.last ?? 0;

const allNumbered = async (): Promise<boolean> => (await rig.system.sql`select 1 from kos.events where seq is null limit 1`).length === 0;

/** Transactions of one to four events each, open for up to 40 ms between their first event and their commit, so that commits overtake each other. */
async function write(workspaceId: string, runIds: readonly string[], random: Random): Promise<void> {
  const eventOf = (count: number): EventRecord => {
    const runId = random.chance(0.2) ? null : (runIds[random.between(0, runIds.length - 1)] ?? null);
    return { workspaceId, runId, type: runId === null ? 'starts.released' : 'step.succeeded', data: { count, text: 'x'.repeat(random.between(0, 2_000)) } };
  };
  for (let count = 0; count < transactionsOfWriter; count += 1) {
    await rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      for (let left = random.between(1, 4); left > 0; left -= 1) {
        await recordEvents(sql, [eventOf(count)]);
        await sleep(random.between(0, 10));
      }
    });
    await sleep(random.between(0, 150));
  }
}

/** A transaction that has written and does not commit until it is told. */
async function beginEarly(workspaceId: string, runId: string): Promise<{ eventId: string; commit: () => Promise<void> }> {
  const [wrote, mayCommit] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()];
  const committed = rig.database.inWorkspace(workspaceId, async ({ sql }) => {
    await recordEvents(sql, [{ workspaceId, runId, type: 'run.waiting', data: { began: 'first' } }]);
    const [row] = await sql<{ id: string }[]>`select id from kos.events where seq is null and run_id = ${runId} and type = 'run.waiting'`;
    wrote.resolve(row?.id ?? '');
    await mayCommit.promise;
  });
  return {
    eventId: await wrote.promise,
    commit: async () => {
      mayCommit.resolve();
      await committed;
    },
  };
}

it('an API killed under 20 streams and 20 writers: every stream goes on, with no event lost or doubled', async () => {
  const random = new Random(seed);
  const workspaceId = await api.workspaceId();
  const runIds = await Promise.all(
    Array.from({ length: 4 }, () => rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId, status: 'succeeded' }))),
  );
  await expect.poll(allNumbered).toBe(true);
  const beganAt = await lastSeq();
  const ask = (name: string, index: number): StreamAsk => ({
    name,
    url: api.url,
    apiKey: api.apiKey(),
    runId: index < 5 ? (runIds[index % runIds.length] ?? null) : null,
  });
  const asks = Array.from({ length: 10 }, (_, index) => index);
  const clients: (StreamClient & { runId: string | null })[] = await Promise.all(
    asks.flatMap((index) => [
      followByEventStream(ask(`sse ${index}`, index)).then((client) => ({ ...client, runId: ask('', index).runId })),
      followBySocket(ask(`socket ${index}`, index)).then((client) => ({ ...client, runId: ask('', index).runId })),
    ]),
  );

  const first = await beginEarly(workspaceId, runIds[0]!);
  const writing = Promise.all(Array.from({ length: 20 }, (_, writer) => write(workspaceId, runIds, new Random(seed + writer))));
  const killAt = beganAt + random.between(150, 450);
  while ((await lastSeq()) < killAt || clients.some(({ seen }) => seen.length === 0)) await sleep(5);
  const before = await lastSeq();
  await api.kill();
  const seenBefore = clients.map(({ seen }) => seen.length);
  await sleep(random.between(100, 400));
  await api.start();
  await writing;
  await expect.poll(allNumbered, { timeout: 20_000 }).toBe(true);
  await first.commit();
  await expect.poll(allNumbered, { timeout: 20_000 }).toBe(true);

  const expected = new Map([null, ...runIds].map((runId) => [runId, [] as string[]]));
  for (const runId of expected.keys()) expected.set(runId, await record(runId, runId === null ? beganAt : 0));
  const all = expected.get(null) ?? [];
  // Killed in the middle, and the transaction that began first was the last to be numbered.
  expect(before - beganAt).toBeGreaterThan(20);
  expect(all.length - (before - beganAt)).toBeGreaterThan(20);
  expect(all.at(-1)).toBe(first.eventId);
  expect(Math.min(...seenBefore)).toBeGreaterThan(0);

  for (const { name, runId, seen, resets, connections } of clients) {
    const wanted = expected.get(runId) ?? [];
    await expect.poll(() => seen.length, { timeout: 20_000, message: name }).toBeGreaterThanOrEqual(wanted.length);
    expect(
      seen.map(({ id }) => id),
      name,
    ).toEqual(wanted);
    expect([resets, connections()], name).toEqual([[], 2]);
  }
  await Promise.all(clients.map((client) => client.stop()));
}, 120_000);
