import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { environment, readConfiguration } from '#config';
import type { WirePayload } from '#schemas/codec.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import { newId } from '#services/ids.ts';
import { createPayloadCodec } from '#services/temporal/codec.ts';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

const temporalUi = 'http://127.0.0.1:8233';
const namespace = 'default';
const sealing = createTestPayloadSealing();
const codec = createPayloadCodec({ sealing, namespace, refuse: 'throw' });

let api: TestApi;
let runId: string;

beforeAll(async () => {
  api = await makeTestApi({ codecOrigins: [temporalUi] });
  const { workspaceId } = api.owner;
  runId = await api.rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId }));
});

afterAll(() => api.close());

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const clear: Payload = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{"path":"/var/log"}') };
const clearOnTheWire: WirePayload = { metadata: { encoding: base64('json/plain') }, data: base64('{"path":"/var/log"}') };

/** As Temporal's tools send it. */
async function sealedFor(workflowId: string): Promise<WirePayload> {
  const [sealed] = await codec.encode([clear], { type: 'workflow', namespace, workflowId });
  const bytes = (value: Uint8Array): string => Buffer.from(value).toString('base64');
  return { metadata: Object.fromEntries(Object.entries(sealed?.metadata ?? {}).map(([name, value]) => [name, bytes(value)])), data: bytes(sealed!.data!) };
}

const decode = (payloads: WirePayload[], options: { apiKey?: string | null; headers?: Record<string, string> } = {}) =>
  api.call('POST', '/v1/codec/decode', { body: { payloads }, ...options });

describe('the codec', () => {
  it('opens what belongs to runs of the workspace, their windows too, and gives everything else back as it was', async () => {
    const foreign = await sealedFor(newId('run'));
    const ofRun = await sealedFor(runId);
    const forged = { ...ofRun, metadata: { ...ofRun.metadata, 'kos-workflow': base64(`${runId}.g1.s0.w0`) } };
    const other = { metadata: { encoding: base64('binary/plain') }, data: base64('x'), externalPayloads: [] };
    const given = [ofRun, foreign, await sealedFor(`${runId}.g1.s0.w500`), forged, other, {}];
    const { status, body } = await decode(given);
    expect([status, body['payloads']]).toEqual([200, [clearOnTheWire, foreign, clearOnTheWire, forged, other, {}]]);
  });

  it('opens nothing for another workspace, nor for who has no history:read', async () => {
    const theirs = await api.makeKey({ roles: ['owner'], workspaceId: await api.makeWorkspace() });
    const sealed = await sealedFor(runId);
    expect((await decode([sealed], { apiKey: theirs.apiKey })).body['payloads']).toEqual([sealed]);
    const viewer = await api.makeKey({ roles: ['viewer'] });
    expect((await decode([sealed], { apiKey: viewer.apiKey })).body.code).toBe('permission_missing');
    expect((await decode([sealed], { apiKey: null })).status).toBe(401);
  });

  it('answers pages of the configured origins alone', async () => {
    const preflight = (origin: string, path = '/v1/codec/decode') =>
      api.call('OPTIONS', path, {
        apiKey: null,
        headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-namespace' },
      });
    const welcome = await preflight(temporalUi);
    expect([welcome.status, welcome.headers.get('access-control-allow-origin'), welcome.headers.get('access-control-allow-headers')]).toEqual([
      204,
      temporalUi,
      'authorization,content-type,x-namespace,kos-workspace',
    ]);
    for (const origin of ['https://evil.example', 'http://127.0.0.1:8234', 'null'])
      expect((await preflight(origin)).headers.get('access-control-allow-origin')).toBeNull();
    expect((await preflight(temporalUi, '/v1/runs')).headers.get('access-control-allow-origin')).toBeNull();
    const { headers } = await api.makeSession({ roles: ['operator'] });
    const sealed = await sealedFor(runId);
    const fromThere = await decode([sealed], { apiKey: null, headers: { ...headers, origin: temporalUi } });
    expect([fromThere.body['payloads'], fromThere.headers.get('access-control-allow-credentials')]).toEqual([[clearOnTheWire], 'true']);
    const elsewhere = await decode([sealed], { apiKey: null, headers: { ...headers, origin: 'https://evil.example' } });
    expect(elsewhere.body.code).toBe('origin_refused');
    const change = await api.call('POST', `/v1/runs/${runId}/pin`, {
      apiKey: null,
      headers: { ...headers, origin: temporalUi, 'content-type': 'application/json' },
    });
    expect(change.body.code).toBe('origin_refused');
  });

  it('serves Temporal’s own command line', async () => {
    const { address } = inject('servers').temporal;
    const connection = await Connection.connect({ address });
    const client = new Client({ connection, namespace, dataConverter: createDataConverter({ sealing, namespace, refuse: 'throw' }) });
    await client.workflow.start('notRun', { taskQueue: randomUUID(), workflowId: runId, args: [{ path: '/var/log' }], staticSummary: 'read · tool' });
    const binary = await findTemporalBinary({ cache: readConfiguration(environment).cache, environment, say: () => undefined });
    const show = async (apiKey: string): Promise<string> => {
      const words = ['workflow', 'show', '--workflow-id', runId, '--address', address, '--namespace', namespace, '--output', 'json'];
      const codecWords = ['--codec-endpoint', `${api.url}/v1/codec`, '--codec-auth', `Bearer ${apiKey}`];
      return (await promisify(execFile)(binary, [...words, ...codecWords])).stdout;
    };
    // In this form the program shows the payload that it was given, bytes as base64.
    const shown = await show(api.apiKey);
    expect(shown).toContain(clearOnTheWire.data);
    expect(shown).toContain(base64('"read · tool"'));
    const theirs = await api.makeKey({ roles: ['owner'], workspaceId: await api.makeWorkspace() });
    expect(await show(theirs.apiKey)).toMatch(/"kos-workflow"/);
    await client.workflow.getHandle(runId).terminate('test');
    await connection.close();
  });
});
