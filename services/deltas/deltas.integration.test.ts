import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelDelta } from '#schemas/event.ts';
import { connectDatabase } from '#services/database/connect.ts';
import { type EventListener, startEventListener } from '#services/events/listener.ts';
import { newId } from '#services/ids.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { type DeltaHub, type DeltaReader, startDeltaHub } from './hub.ts';
import { type CallPlace, createDeltaPost, type DeltaPost } from './post.ts';
import { pruneDeltas } from './read.ts';

let rig: TestDatabase;
let listener: EventListener;
let hub: DeltaHub;
let post: DeltaPost;

const log = pino({ level: 'silent' });
const workspaceId = newId('workspace');

beforeAll(async () => {
  rig = await makeTestDatabase();
  listener = await startEventListener({ address: rig.addresses.app, system: rig.system, log });
  hub = await startDeltaHub({ database: rig.database, listener, log });
  post = createDeltaPost({ database: rig.database, log });
});

afterAll(async () => {
  await post.close();
  await listener.close();
  await rig.remove();
});

const aCall = (change: Partial<CallPlace> = {}): CallPlace => ({ workspaceId, runId: newId('run'), stepPath: 'ask', attempt: 1, call: 1, ...change });

interface Following {
  deltas: ModelDelta[];
  text(): string;
  stop(): void;
}

function follow(scope: { workspaceId: string; runId: string | null }): Following {
  const deltas: ModelDelta[] = [];
  const reader: DeltaReader = hub.watch(scope, () => deltas.push(...reader.take()));
  return { deltas, text: () => deltas.reduce((text, { data }) => text.slice(0, data.from) + data.text, ''), stop: () => reader.close() };
}

const rows = async (runId: string): Promise<{ place: number; until: number; ended: boolean }[]> =>
  rig.system.sql<{ place: number; until: number; ended: boolean }[]>`select place, until, ended from kos.model_deltas where run_id = ${runId} order by place`;

/** Says something for long enough that it is written before it ends. */
async function say(place: CallPlace, ...pieces: string[]): Promise<void> {
  const text = post.open(place);
  for (const piece of pieces) {
    text.add(piece);
    await sleep(120);
  }
  await text.end();
}

describe('text of model calls on its way', () => {
  it('arrives as it was said, whatever is in it', async () => {
    const place = aCall();
    const following = follow(place);
    await say(place, 'Grüße 👩‍👩‍👧 ', 'zero \0 ', '漢字 “quoted” \\ \n', '👍');
    await expect.poll(following.text).toBe('Grüße 👩‍👩‍👧 zero \uFFFD 漢字 “quoted” \\ \n👍');
    following.stop();
  });

  it('goes in batches, however small its pieces', async () => {
    const place = aCall();
    const following = follow(place);
    const text = post.open(place);
    for (let count = 0; count < 300; count += 1) {
      text.add(`${count} `);
      if (count % 10 === 0) await sleep(10);
    }
    await text.end();
    await expect.poll(following.text).toBe(Array.from({ length: 300 }, (_, count) => `${count} `).join(''));
    expect((await rows(place.runId)).length).toBeLessThan(30);
    following.stop();
  });

  it('is bounded: of one call 200,000 characters, the rest is in its output', async () => {
    const place = aCall();
    const following = follow(place);
    const text = post.open(place);
    for (let count = 0; count < 30; count += 1) {
      text.add('x'.repeat(10_000));
      await sleep(20);
    }
    await text.end();
    await expect.poll(() => following.text().length).toBe(200_000);
    expect((await rows(place.runId)).at(-1)).toMatchObject({ until: 200_000 });
    following.stop();
    // Whoever watches the whole workspace would be told it for some seconds more.
    await rig.system.sql`delete from kos.model_deltas where run_id = ${place.runId}`;
  });

  it('of many calls at once is told apart, and held once for all who watch', async () => {
    const runId = newId('run');
    const before = hub.held();
    const [whole, ...others] = [follow({ workspaceId, runId: null }), ...Array.from({ length: 5 }, () => follow({ workspaceId, runId }))];
    await Promise.all(Array.from({ length: 20 }, (_, item) => say(aCall({ runId, stepPath: `ask[${item}]` }), `item ${item} `, 'goes on')));
    for (const { deltas } of [whole, ...others]) {
      const textOf = (path: string): string =>
        deltas
          .filter(({ data }) => data.stepPath === path)
          .map(({ data }) => data.text)
          .join('');
      await expect.poll(() => textOf('ask[19]')).toBe('item 19 goes on');
      expect(textOf('ask[7]')).toBe('item 7 goes on');
    }
    expect(hub.held() - before).toBeLessThanOrEqual(20 * 'item 19 goes on'.length);
    for (const one of [whole, ...others]) one.stop();
  });

  it('is read by nobody who watches another workspace or run, and held for nobody', async () => {
    const place = aCall();
    const others = [
      follow({ workspaceId: newId('workspace'), runId: null }),
      follow({ workspaceId, runId: newId('run') }),
      follow({ ...place, workspaceId: newId('workspace') }),
    ];
    const before = hub.held();
    await say(place, 'nothing ', 'for you');
    await sleep(200);
    expect([others.flatMap(({ deltas }) => deltas), hub.held()]).toEqual([[], before]);
    for (const one of others) one.stop();
  });

  it('comes from its beginning to who begins to watch in the middle, and not at all afterwards', async () => {
    const place = aCall();
    const text = post.open(place);
    text.add('so far, ');
    await expect.poll(() => rows(place.runId)).toHaveLength(1);
    const late = follow(place);
    await expect.poll(late.text).toBe('so far, ');
    text.add('so good');
    await text.end();
    await expect.poll(late.text).toBe('so far, so good');
    const tooLate = follow(place);
    await sleep(200);
    expect(tooLate.deltas).toEqual([]);
    late.stop();
    tooLate.stop();
  });

  it('is removed some seconds after its end', async () => {
    const place = aCall();
    await say(place, 'gone ', 'soon');
    expect((await rows(place.runId)).at(-1)).toMatchObject({ ended: true });
    await expect.poll(() => rows(place.runId), { timeout: 10_000 }).toEqual([]);
  });

  it('waits for a database that does not answer, and fails nobody', async () => {
    const cut = connectDatabase(rig.addresses.app, { max: 1, applicationName: 'kos-test-cut' });
    const waiting = createDeltaPost({ database: cut, log });
    const place = aCall();
    const following = follow(place);
    const text = waiting.open(place);
    text.add('before ');
    await expect.poll(following.text).toBe('before ');
    const letIn = (isLetIn: boolean): Promise<unknown> =>
      rig.asSuperuser((sql) => sql.unsafe(`alter database ${rig.addresses.app.database} allow_connections ${isLetIn}`));
    await letIn(false);
    await rig.asSuperuser((sql) => sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kos-test-cut'`);
    text.add('meanwhile ');
    await sleep(300);
    await letIn(true);
    text.add('after');
    await expect.poll(following.text, { timeout: 15_000 }).toBe('before meanwhile after');
    await text.end();
    await waiting.close();
    await cut.close();
    following.stop();
  });

  it('that a lost worker left is removed once its step is not worked on', async () => {
    const place = aCall();
    const text = post.open(place);
    text.add('left behind');
    await expect.poll(() => rows(place.runId)).toHaveLength(1);
    await pruneDeltas(rig.system);
    expect(await rows(place.runId)).toHaveLength(1);
    await rig.system.sql`update kos.model_deltas set at = now() - interval '2 minutes' where run_id = ${place.runId}`;
    await pruneDeltas(rig.system);
    expect(await rows(place.runId)).toHaveLength(0);
    await text.end();
  });
});
