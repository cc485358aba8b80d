import type { Payload, SerializationContext } from '@temporalio/common';
import { expect, test } from 'vitest';
import { isPayloadRefused } from '#core/engine/payload-refused.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';
import { createPayloadCodec, openAsNamed, workflowNamedBy } from './codec.ts';

const context: SerializationContext = { type: 'workflow', namespace: 'default', workflowId: 'run_1' };
const sealing = createTestPayloadSealing();
const codec = createPayloadCodec({ sealing, namespace: 'default', refuse: 'throw' });
const payload: Payload = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('"secret"') };

const sealedPayload = async (): Promise<Payload> => (await codec.encode([payload], context))[0]!;

test('a sealed payload names encoding, key id a 96-bit nonce and its workflow, and nothing else in clear', async () => {
  const { metadata, data } = await sealedPayload();
  expect(Object.keys(metadata ?? {}).sort()).toEqual(['encoding', 'kos-key-id', 'kos-nonce', 'kos-workflow']);
  expect(Buffer.from(metadata!.encoding!).toString()).toBe('binary/kos-v1');
  expect(Buffer.from(metadata!['kos-key-id']!).toString()).toBe(sealing.keyIds()[0]);
  expect(metadata!['kos-nonce']).toHaveLength(12);
  expect(Buffer.from(metadata!['kos-workflow']!).toString()).toBe('run_1');
  expect(Buffer.from(data!).includes('secret')).toBe(false);
});

test('workflow and activity contexts of one workflow are one place; namespaces and workflows are not', async () => {
  const sealed = await sealedPayload();
  const inActivity: SerializationContext = { type: 'activity', namespace: 'default', workflowId: 'run_1', activityId: '5', isLocal: false };
  expect(await codec.decode([sealed], inActivity)).toMatchObject([{ data: Buffer.from('"secret"') }]);
  await expect(codec.decode([sealed], { ...context, workflowId: 'run_2' })).rejects.toMatchObject({ code: 'payload_refused' });
  const elsewhere = createPayloadCodec({ sealing, namespace: 'other', refuse: 'throw' });
  await expect(elsewhere.decode([sealed], context)).rejects.toMatchObject({ code: 'payload_refused', extra: { reason: 'not_authentic' } });
});

test('without context (a failed workflow task) it still seals, and the result opens nowhere else', async () => {
  const sealed = await codec.encode([payload]);
  await expect(codec.decode(sealed, context)).rejects.toMatchObject({ code: 'payload_refused' });
  expect(await codec.decode(sealed)).toHaveLength(1);
});

test('refused payloads among good ones become markers one by one', async () => {
  const forgiving = createPayloadCodec({ sealing, namespace: 'default', refuse: 'marker' });
  const decoded = await forgiving.decode([await sealedPayload(), payload, {}], context);
  const values = decoded.map(({ data }): unknown => JSON.parse(Buffer.from(data!).toString()));
  expect(values[0]).toBe('secret');
  expect(values.slice(1).every(isPayloadRefused)).toBe(true);
});

test('opens by the workflow that it names, and only if it is sealed for that one', async () => {
  const sealed = await sealedPayload();
  expect([workflowNamedBy(sealed), workflowNamedBy(payload), workflowNamedBy((await codec.encode([payload]))[0]!)]).toEqual(['run_1', null, null]);
  const options = { sealing, namespace: 'default' };
  expect(openAsNamed(options, sealed)).toMatchObject({ data: Buffer.from('"secret"') });
  const forged = { ...sealed, metadata: { ...sealed.metadata, 'kos-workflow': Buffer.from('run_2') } };
  expect([openAsNamed(options, forged), openAsNamed({ ...options, namespace: 'other' }, sealed), openAsNamed(options, payload)]).toEqual([null, null, null]);
});

test('no payloads give no payloads', async () => {
  expect(await codec.encode([], context)).toEqual([]);
  expect(await codec.decode([], context)).toEqual([]);
});
