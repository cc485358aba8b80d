import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Principal } from '#core/policy/principal.ts';
import type { OutgoingContent } from '#schemas/outgoing.ts';
import { createChannelSchema } from '#schemas/channel.ts';
import { createWebhookSchema } from '#schemas/webhook.ts';
import { createChannel } from '#services/channels/change.ts';
import type { Transaction } from '#services/database/connect.ts';
import { startOutgoing } from '#services/duties/outgoing.ts';
import type { Duty } from '#services/duties/repeat.ts';
import { numberBatch } from '#services/events/number-batch.ts';
import { listOutgoing, readOutgoing } from '#services/outgoing/read.ts';
import { redeliver } from '#services/outgoing/redeliver.ts';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { createWebhook, rotateWebhook } from '#services/webhooks/change.ts';
import { readWebhook } from '#services/webhooks/read.ts';
import { type ReceivedPost, type Receiver, startReceiver } from '#tests/rig/receiver.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';
import { makeTestSchedules } from '#tests/rig/test-schedules.ts';

let receiver: Receiver;
let engine: TestEngine;
let principal: Principal;
let duty: Duty;
const sealing = createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) });

beforeAll(async () => {
  receiver = await startReceiver();
  engine = await makeTestEngine({ egress: [receiver.host] });
  ({ principal } = await makeTestSchedules(engine));
  duty = startOutgoing({ system: engine.rig.system, door: engine.workflows.outgoing, log: engine.log, publicUrl: 'https://kos.example', now: Date.now });
  await engine.save('plan: quick\nsteps:\n  only: { transform: 1 }\n');
});
afterAll(async () => {
  await duty.stop();
  const sent = await engine.rig.system.sql<{ id: string }[]>`select id from kos.outgoing_deliveries where status <> 'pending'`;
  engine.runIds.push(...sent.map(({ id }) => id));
  await engine.close();
  receiver.close();
});

const inWorkspace = <Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> => engine.rig.database.inWorkspace(engine.workspaceId, work);

let count = 0;
async function subscribe(events: string[], more: object = {}): Promise<{ id: string; secret: string; path: string }> {
  const path = `/hook-${(count += 1)}`;
  await tell();
  const wanted = createWebhookSchema.parse({ name: `hook-${count}`, url: receiver.url(path), events, ...more });
  return { ...(await inWorkspace((transaction) => createWebhook(transaction, sealing, principal, wanted))), path };
}

/** Numbers what was committed, as the sequencer does, and has it told. */
async function tell(): Promise<void> {
  while ((await numberBatch(engine.rig.system)).events > 0);
  duty.nudge();
}

async function quickRun(): Promise<string> {
  const runId = await engine.start('quick');
  await engine.ended(runId);
  await tell();
  return runId;
}

const deliveriesOf = (id: string) =>
  inWorkspace(async (transaction) => (await listOutgoing(transaction, id, { cursor: null, limit: 200, status: null })).items);
const hook = (id: string) => inWorkspace(async (transaction) => (await readWebhook(transaction, id)).shown);

async function untilDelivery(id: string, reached: (delivery: OutgoingContent) => boolean): Promise<OutgoingContent> {
  for (let left = 3_000; left > 0; left -= 1) {
    const [newest] = await deliveriesOf(id);
    const found = newest === undefined ? null : await inWorkspace((transaction) => readOutgoing(transaction, id, newest.id));
    if (found !== null && reached(found)) return found;
    await sleep(20);
  }
  throw new Error(`No such delivery: ${JSON.stringify(await deliveriesOf(id))}`);
}

const verified = (secret: string, { headers, body }: ReceivedPost): unknown => new Webhook(secret).verify(body, headers as Record<string, string>);

describe('a channel', () => {
  it('is told of a run that failed, in the form of its service', async () => {
    const wanted = createChannelSchema.parse({ name: 'on-call', kind: 'slack', url: receiver.url('/services/secret') });
    await tell();
    const id = await inWorkspace((transaction) => createChannel(transaction, sealing, principal, wanted));
    const run = await engine.run('plan: broken\nsteps:\n  send: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 } }\n');
    await tell();
    const [post] = await receiver.until('/services/secret', 1);
    expect(JSON.parse(post?.body ?? '')).toMatchObject({
      text: expect.stringMatching(/^A run of broken failed: /),
      blocks: [{ type: 'header' }, { type: 'section' }, { elements: [{ url: `https://kos.example/v1/runs/${run.id}` }] }],
    });
    expect(await untilDelivery(id, ({ status }) => status === 'delivered')).toMatchObject({ type: 'run.failed', runId: run.id });
  });
});

describe('a webhook', () => {
  it('is told of what it asks for, once each, signed, and of nothing else', async () => {
    const told = await subscribe(['run.*'], { plan: 'quick' });
    const other = await subscribe(['step.failed', 'run.succeeded'], { plan: 'other' });
    const runId = await quickRun();
    const posts = await receiver.until(told.path, 3);
    const bodies = posts.map((post) => verified(told.secret, post) as { type: string; runId: string; url: string; id: string });
    expect(bodies.map(({ type }) => type).toSorted()).toEqual(['run.accepted', 'run.started', 'run.succeeded']);
    expect(new Set(bodies.map(({ runId: of, url }) => `${of} ${url}`))).toEqual(new Set([`${runId} https://kos.example/v1/runs/${runId}`]));
    expect(posts.map(({ headers }) => headers['webhook-id'])).toEqual(bodies.map(({ id }) => id));
    await untilDelivery(told.id, ({ status }) => status === 'delivered');
    expect(await deliveriesOf(other.id)).toEqual([]);
    expect(receiver.to(other.path)).toEqual([]);
  });

  it('that fails is tried again under the same id, signed anew with every live secret; what was delivered can be sent again', async () => {
    const failing = await subscribe(['run.succeeded']);
    receiver.answer(failing.path, 500);
    await quickRun();
    await receiver.until(failing.path, 1);
    const waiting = await untilDelivery(failing.id, ({ attempts }) => attempts === 1);
    expect(waiting).toMatchObject({ status: 'pending', error: 'It answered 500.', nextAttemptAt: expect.any(String) });
    const secret = await inWorkspace((transaction) => rotateWebhook(transaction, sealing, principal, { id: failing.id, keepPreviousMs: 60_000 }));
    const [first, second] = await receiver.until(failing.path, 2);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    for (const live of [secret, failing.secret]) expect(verified(live, second!)).toMatchObject({ type: 'run.succeeded' });
    const delivered = await untilDelivery(failing.id, ({ status }) => status === 'delivered');
    expect(delivered.tries.map(({ status }) => status)).toEqual([500, 204]);
    const again = await inWorkspace((transaction) => redeliver(transaction, principal, failing.id, delivered.id));
    duty.nudge();
    const posts = await receiver.until(failing.path, 3);
    expect(posts[2]?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(await untilDelivery(failing.id, ({ status }) => status === 'delivered')).toMatchObject({ id: again, redeliveredBy: principal.principalId });
  });

  it('that answers 410 is disabled, and is sent nothing more', async () => {
    const gone = await subscribe(['run.succeeded']);
    receiver.answer(gone.path, 410);
    await quickRun();
    expect(await untilDelivery(gone.id, ({ status }) => status !== 'pending')).toMatchObject({ status: 'failed', error: 'It answered 410.' });
    expect(await hook(gone.id)).toMatchObject({ enabled: false, note: 'The receiver answered 410: it wants no more.', failed: 1, pending: 0 });
    await quickRun();
    expect(await deliveriesOf(gone.id)).toHaveLength(1);
  });

  it('to a host that is not allowed gets nothing, and the refusal names the command that allows it', async () => {
    const refused = await subscribe(['run.succeeded'], { url: 'http://127.0.0.1:1/hook' });
    await quickRun();
    const delivery = await untilDelivery(refused.id, ({ attempts }) => attempts === 1);
    expect(delivery).toMatchObject({ status: 'pending', fix: 'kai settings add egress 127.0.0.1:1' });
    expect(delivery.tries).toMatchObject([{ status: null }]);
    await engine.workflows.terminate(delivery.id, 'the test is over');
  });

  it('whose creator may read runs no longer is disabled before it is told', async () => {
    const theirs = await subscribe(['run.succeeded']);
    await engine.rig.system.sql`update kos.memberships set disabled = true where principal_id = ${principal.principalId}`;
    await quickRun();
    while ((await hook(theirs.id)).enabled) await sleep(20);
    expect((await hook(theirs.id)).note).toContain('does not belong to this workspace');
    expect(await deliveriesOf(theirs.id)).toEqual([]);
    await engine.rig.system.sql`update kos.memberships set disabled = false where principal_id = ${principal.principalId}`;
  });

  it('loses nothing to a worker that is killed while it sends', async () => {
    const held = await subscribe(['run.succeeded']);
    // Never answered.
    receiver.answer(held.path, () => undefined);
    await engine.stopWorker();
    const first = await engine.startWorkerProcess();
    const runId = await engine.start('quick');
    await engine.ended(runId);
    await tell();
    await receiver.until(held.path, 1);
    await first.kill();
    await engine.startWorker();
    const posts = await receiver.until(held.path, 2);
    expect(posts[1]?.headers['webhook-id']).toBe(posts[0]?.headers['webhook-id']);
    expect(await untilDelivery(held.id, ({ status }) => status === 'delivered')).toMatchObject({ runId, attempts: 1 });
  });
});
