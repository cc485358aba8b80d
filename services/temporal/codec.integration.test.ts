import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, type DataConverter, type PayloadCodec } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';
import { codecActivities } from './codec-fixture-activities.ts';
import { askUnsealedWorker, codecTour, heardQuery, saySignal, sendUnsealedInput, type TourInput } from './codec-fixture-workflows.ts';
import { createPayloadCodec } from './codec.ts';
import { createDataConverter, failureConverterPath } from './data-converter.ts';
import { refusedPayloadInterceptor } from './data-converter-refusal.ts';

const { address, namespace } = inject('servers').temporal;
const secret = 'SECRET-that-nobody-may-read';
const sealing = createTestPayloadSealing();
const workflowsPath = fileURLToPath(new URL('./codec-fixture-workflows.ts', import.meta.url));
const clientConverter = createDataConverter({ sealing, namespace, refuse: 'throw' });
const workerConverter = createDataConverter({ sealing, namespace, refuse: 'marker' });

let connection: Connection;
let workerConnection: NativeConnection;
let workflowBundle: WorkflowBundle;
let stop: () => Promise<void>;
const taskQueue = `codec-${randomUUID()}`;
const unsealedQueue = `${taskQueue}-unsealed`;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  [connection, workerConnection, workflowBundle] = await Promise.all([
    Connection.connect({ address }),
    NativeConnection.connect({ address }),
    bundleWorkflowCode({ workflowsPath, failureConverterPath, logger: new DefaultLogger('ERROR') }),
  ]);
  const common = { connection: workerConnection, namespace, workflowBundle, shutdownGraceTime: 0 };
  const sealed = await Worker.create({
    ...common,
    taskQueue,
    dataConverter: workerConverter,
    activities: codecActivities,
    interceptors: { activity: [refusedPayloadInterceptor] },
  });
  const unsealed = await Worker.create({
    ...common,
    taskQueue: unsealedQueue,
    dataConverter: {
      failureConverterPath,
      payloadCodecs: [{ ...createPayloadCodec({ sealing, namespace, refuse: 'throw' }), encode: async (payloads) => payloads }],
    },
    activities: { answer: async () => 'in clear' },
  });
  const runs = Promise.all([sealed.run(), unsealed.run()]);
  stop = async () => {
    sealed.shutdown();
    unsealed.shutdown();
    await runs;
  };
}, 60_000);

afterAll(async () => {
  await stop();
  await connection.close();
  await workerConnection.close();
});

const clientWith = (dataConverter: DataConverter): Client => new Client({ connection, namespace, dataConverter });
const client = (): Client => clientWith(clientConverter);
const input = (generation: number): TourInput => ({ generation, secret, heard: [] });

/** Every event of a run as protobuf bytes: exactly what the server stores, and what `temporal workflow show` prints. */
async function storedBytes(workflowId: string, runId?: string): Promise<Buffer> {
  const history = await client().workflow.getHandle(workflowId, runId).fetchHistory();
  return Buffer.from(temporal.api.history.v1.History.encode(history).finish());
}

async function endedTour(): Promise<{ handle: WorkflowHandle<typeof codecTour>; heard: string[]; firstRunId: string }> {
  const workflowId = `tour-${randomUUID()}`;
  const handle = await client().workflow.start(codecTour, { taskQueue, workflowId, args: [input(1)] });
  await handle.signal(saySignal, `client ${secret}`);
  await client().workflow.getHandle(workflowId).signal(saySignal, 'end');
  return { handle, heard: await handle.result(), firstRunId: handle.firstExecutionRunId };
}

describe('every place of a payload', () => {
  test('is sealed in storage, and opened on the other side', async () => {
    const { handle, heard, firstRunId } = await endedTour();
    expect(heard.sort()).toEqual(
      [
        `activity ${secret}`,
        `heartbeat ${secret}`,
        `failure failed with ${secret} ${secret}`,
        `child ${secret}`,
        `child failure failed with ${secret}`,
        `signal child ${secret}`,
        `signal client ${secret}`,
        'signal end',
      ].sort(),
    );
    const { workflowId } = handle;
    const stored = await Promise.all([
      storedBytes(workflowId, firstRunId),
      storedBytes(workflowId),
      storedBytes(`${workflowId}-child`),
      storedBytes(`${workflowId}-failing`),
    ]);
    for (const bytes of stored) {
      expect(bytes.includes('binary/kos-v1')).toBe(true);
      expect(bytes.includes('SECRET')).toBe(false);
      expect(bytes.includes('json/plain')).toBe(false);
    }
  });

  test('opens again when a history is replayed', async () => {
    const { handle, firstRunId } = await endedTour();
    for (const runId of [firstRunId, undefined]) {
      const history = await client().workflow.getHandle(handle.workflowId, runId).fetchHistory();
      await Worker.runReplayHistory({ workflowBundle, dataConverter: workerConverter }, history, handle.workflowId);
    }
  });

  test('of a Query is sealed both ways', async () => {
    const handle = await client().workflow.start(codecTour, { taskQueue, workflowId: `query-${randomUUID()}`, args: [input(2)] });
    expect(await handle.query(heardQuery, secret)).toEqual([`asked ${secret}`]);
    await handle.signal(saySignal, 'end');
    await handle.result();
  });
});

/** A codec that seals correctly, but for another workflow, as somebody would who copies a sealed payload from one place to another. */
function sealedElsewhere(): PayloadCodec {
  const codec = createPayloadCodec({ sealing, namespace, refuse: 'throw' });
  return { ...codec, encode: (payloads) => codec.encode(payloads, { type: 'workflow', namespace, workflowId: 'elsewhere' }) };
}

const otherKey = createFixedSealing({ purpose: 'payload', key: new Uint8Array(32) });
const strangers: { reason: string; converter: DataConverter; holdsKey: boolean }[] = [
  { reason: 'wrong_encoding', converter: {}, holdsKey: false },
  { reason: 'unknown_key', converter: createDataConverter({ sealing: otherKey, namespace, refuse: 'throw' }), holdsKey: false },
  { reason: 'not_authentic', converter: { payloadCodecs: [sealedElsewhere()] }, holdsKey: true },
];

describe.each(strangers)('a client whose payloads are refused as $reason', ({ reason, converter, holdsKey }) => {
  test('reaches the workflow as a marker by Signal and Query, and the workflow goes on', async () => {
    const handle = await client().workflow.start(codecTour, { taskQueue, workflowId: `forged-${randomUUID()}`, args: [input(2)] });
    const stranger = clientWith(converter).workflow.getHandle(handle.workflowId);
    await stranger.signal(saySignal, 'end');
    const answer = await stranger.query(heardQuery, 'let me see').catch(() => 'unreadable');
    expect(answer).toEqual(holdsKey ? [`signal refused: ${reason}`, `asked refused: ${reason}`] : 'unreadable');
    expect(await handle.query(heardQuery, 'x')).toEqual([`signal refused: ${reason}`, 'asked x']);
    await handle.signal(saySignal, 'end');
    expect(await handle.result()).toEqual([`signal refused: ${reason}`, 'signal end']);
  });

  test('starts a workflow that fails with payload_refused', async () => {
    const workflowId = `forged-${randomUUID()}`;
    await clientWith(converter).workflow.start(codecTour, { taskQueue, workflowId, args: [input(1)] });
    const error: unknown = await client()
      .workflow.getHandle(workflowId)
      .result()
      .catch((thrown: unknown) => thrown);
    if (!(error instanceof WorkflowFailedError) || !(error.cause instanceof ApplicationFailure)) throw error;
    expect(error.cause.type).toBe('payload_refused');
    expect(error.cause.message).toContain(reason);
  });
});

describe('a worker that reads sealed payloads but seals nothing', () => {
  test('an activity result in clear reaches the workflow as a marker', async () => {
    const workflowId = `unsealed-${randomUUID()}`;
    const answer = client().workflow.execute(askUnsealedWorker, { taskQueue, workflowId, args: [unsealedQueue] });
    expect(await answer).toBe('refused: wrong_encoding');
  });

  test('an activity input in clear fails the activity for good, and a client refuses a result in clear', async () => {
    const workflowId = `unsealed-${randomUUID()}`;
    await client().workflow.start(sendUnsealedInput, { taskQueue: unsealedQueue, workflowId, args: [taskQueue] });
    expect(await clientWith({}).workflow.getHandle(workflowId).result()).toBe('payload_refused');
    await expect(client().workflow.getHandle(workflowId).result()).rejects.toMatchObject({ code: 'payload_refused', extra: { reason: 'wrong_encoding' } });
  });
});
