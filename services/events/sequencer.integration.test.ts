import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '#core/audit/checkpoint.ts';
import { hashAuditEntry } from '#core/audit/entry.ts';
import { appendLeaves, emptyFrontier, rootOf } from '#core/audit/merkle.ts';
import type { KosEvent } from '#schemas/event.ts';
import { signingIdentity } from '#services/identity/signing-key.ts';
import { newId } from '#services/ids.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { writeCheckpoint } from './checkpoints.ts';
import { type EventListener, startEventListener } from './listener.ts';
import { numberBatch } from './number-batch.ts';
import { parsePosition } from './position.ts';
import { readEvents, resumeFrom } from './reader.ts';
import { startSequencer } from './sequencer.ts';

const log = pino({ level: 'silent' });
const signer = { name: 'kos-test', ...signingIdentity(Buffer.alloc(32, 9)) };
const workspaceId = newId('workspace');

let rig: TestDatabase;
let listener: EventListener;

beforeAll(async () => {
  rig = await makeTestDatabase();
  await rig.system.sql`insert into kos.workspaces (workspace_id, slug, name) values (${workspaceId}, ${workspaceId}, 'Test')`;
  listener = await startEventListener({ address: rig.addresses.app, system: rig.system, log });
});

afterAll(async () => {
  await listener.close();
  await rig.remove();
});

const record = (runId: string | null, data: Record<string, number>, delayMs = 0): Promise<void> =>
  rig.database.inWorkspace(workspaceId, async ({ sql }) => {
    await recordEvents(sql, [{ workspaceId, runId, type: 'step.succeeded', data }]);
    await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'test.write', subject: runId ?? workspaceId, data }]);
    await sleep(delayMs);
  });

const keyOf = (event: KosEvent): string => `${Number(event.data['writer'])}/${Number(event.data['count'])}`;

/** Reads until it has seen `expected` events, and now and then forgets everything but its position, as a client that reconnects does. */
async function readResuming(runId: string, expected: number, random: () => number): Promise<string[]> {
  const scope = { workspaceId, runId };
  const seen: string[] = [];
  let position: string | null = null;
  while (seen.length < expected) {
    const start = await resumeFrom(rig.database, rig.system, scope, position);
    expect(start.reset).toBeNull();
    let afterSeq = start.afterSeq;
    for (let reads = Math.ceil(random() * 5); reads > 0; reads -= 1) {
      const events = await readEvents(rig.database, scope, start.epoch, afterSeq, 1 + Math.floor(random() * 40));
      seen.push(...events.map(keyOf));
      position = events.at(-1)?.position ?? position;
      afterSeq = parsePosition(position ?? '')?.seq ?? afterSeq;
      await sleep(random() * 15);
    }
  }
  return seen;
}

describe('the sequencer', () => {
  it('loses and doubles no event of 20 writers, for readers that resume at random, with three sequencers at once', async () => {
    const runId = newId('run');
    const [writers, each] = [20, 40];
    const sequencers = [1, 2, 3].map(() => startSequencer({ system: rig.system, signer, log, isWatched: () => listener.watching() > 0, now: Date.now }));
    const readers = Array.from({ length: 5 }, () => readResuming(runId, writers * each, Math.random));
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let count = 0; count < each; count += 1) await record(runId, { writer, count }, Math.random() < 0.2 ? Math.random() * 60 : 0);
      }),
    );
    const expected = Array.from({ length: writers }, (_, writer) => Array.from({ length: each }, (_each, count) => `${writer}/${count}`))
      .flat()
      .toSorted();
    for (const seen of await Promise.all(readers)) {
      expect(seen.toSorted()).toEqual(expected);
      // What one writer wrote one after another is read in that order.
      for (let writer = 0; writer < writers; writer += 1) {
        const own = seen.filter((key) => key.startsWith(`${writer}/`)).map((key) => Number(key.split('/')[1]));
        expect(own).toEqual(own.toSorted((a, b) => a - b));
      }
    }
    await Promise.all(sequencers.map((sequencer) => sequencer.stop()));
    const [gaps] = await rig.system.sql<{ numbers: number; last: number }[]>`select count(seq)::int as numbers, max(seq) as last from kos.events`;
    expect(gaps?.numbers).toBe(gaps?.last);
  });

  it('makes the tree that its entries, read again, make; and signs it', async () => {
    await record(newId('run'), { writer: 0, count: 0 });
    while ((await numberBatch(rig.system)).auditEntries > 0);
    const note = await writeCheckpoint(rig.system, signer);
    expect(await writeCheckpoint(rig.system, signer)).toBeNull();
    const entries = await rig.system.sql<
      { id: string; workspaceId: string; at: Date; actor: string; action: string; subject: string; data: Record<string, number>; leafHash: Buffer }[]
    >`
      select id, workspace_id as "workspaceId", at, actor, action, subject, data, leaf_hash as "leafHash" from kos.audit_entries order by leaf_index`;
    const leaves = entries.map(({ leafHash: _stored, at, ...entry }) => hashAuditEntry({ ...entry, at: at.toISOString() }));
    expect(entries.map(({ leafHash }) => leafHash)).toEqual(leaves);
    expect(openCheckpoint(note ?? '', signer.name, signer)).toEqual({
      origin: signer.name,
      size: entries.length,
      root: rootOf(appendLeaves(emptyFrontier(), leaves)),
    });
  });

  it('tells who watches a run soon after the commit', async () => {
    const sequencer = startSequencer({ system: rig.system, signer, log, isWatched: () => listener.watching() > 0, now: Date.now });
    const delays: number[] = [];
    const runId = newId('run');
    for (let count = 0; count < 20; count += 1) {
      const heard = new Promise<void>((resolve) => {
        const unwatch = listener.watch(runId, () => {
          unwatch();
          resolve();
        });
      });
      await record(runId, { writer: 0, count });
      const committedAt = performance.now();
      await heard;
      delays.push(performance.now() - committedAt);
      await sleep(Math.random() * 30);
    }
    await sequencer.stop();
    expect(delays.toSorted((a, b) => a - b)[18]).toBeLessThan(2_000);
    expect(listener.watching()).toBe(0);
  });

  it('goes on after its connections were cut', async () => {
    const sequencer = startSequencer({ system: rig.system, signer, log, isWatched: () => listener.watching() > 0, now: Date.now });
    const runId = newId('run');
    await record(runId, { writer: 0, count: 0 });
    await rig.system
      .sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and usename = 'kos_system'`;
    await rig.system
      .sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and usename = 'kos_system'`.catch(
      () => undefined,
    );
    await record(runId, { writer: 0, count: 1 });
    await expect.poll(() => readEvents(rig.database, { workspaceId, runId }, 'e', 0, 10).then((events) => events.length), { timeout: 10_000 }).toBe(2);
    await sequencer.stop();
  });

  it('says reset to a reader of another epoch, of a position beyond the numbering, and of one that retention took', async () => {
    const runId = newId('run');
    for (let count = 0; count < 3; count += 1) await record(runId, { writer: 0, count });
    while ((await numberBatch(rig.system)).events > 0);
    const scope = { workspaceId, runId };
    const { epoch } = await resumeFrom(rig.database, rig.system, scope, null);
    const [first, second] = await readEvents(rig.database, scope, epoch, 0, 10);
    expect(await resumeFrom(rig.database, rig.system, scope, first!.position)).toMatchObject({ reset: null });
    await rig.system.sql`
      with gone as (delete from kos.events where id in ${rig.system.sql([first!.id, second!.id])} returning seq)
      update kos.workspaces set events_pruned_to = (select max(seq) from gone) where workspace_id = ${workspaceId}`;
    expect(await resumeFrom(rig.database, rig.system, scope, first!.position)).toMatchObject({ reset: 'beyond_retention', afterSeq: 0 });
    // Who saw the last that is gone has missed nothing.
    expect(await resumeFrom(rig.database, rig.system, scope, second!.position)).toMatchObject({ reset: null });
    expect(await resumeFrom(rig.database, rig.system, scope, `${epoch}-999999999`)).toMatchObject({ reset: 'another_epoch' });
    expect(await resumeFrom(rig.database, rig.system, scope, 'abcdef-1')).toMatchObject({ reset: 'another_epoch' });
    expect(await resumeFrom(rig.database, rig.system, scope, 'nonsense')).toMatchObject({ reset: 'position_unknown' });
  });
});
