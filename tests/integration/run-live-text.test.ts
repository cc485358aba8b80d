import { setTimeout as sleep } from 'node:timers/promises';
import proto from '@temporalio/proto';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { EventEnvelope, ModelDelta } from '#schemas/event.ts';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { historiesOf } from '#tests/rig/replay.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';
import { createScriptedModelServer, type ScriptedModelServer } from '#tests/scripted-model-server/server.ts';

/** The text of a model that speaks for seconds reaches those who watch while it speaks, through whichever API they are connected to. */

let models: ScriptedModelServer;
let engine: TestEngine;
/** Two processes of the product would stand for: each has its own connections, and hears of text through the database alone. */
let [near, far]: TestApi[] = [];
let viewer: string;

const words = Array.from({ length: 20 }, (_, index) => `word-${index} `);
const spoken = words.join('').trimEnd();
const pieces = [...words.slice(0, -1), 'word-19'];
const slowly = { kind: 'text', text: spoken, pieces, pieceDelayMs: 60, times: 'always' } as const;

beforeAll(async () => {
  models = await createScriptedModelServer([
    { kind: 'broken', text: 'a beginning that is lost', when: 'BREAKS' },
    { kind: 'text', text: 'at once', when: 'AT-ONCE', times: 'always' },
    slowly,
  ]);
  engine = await makeTestEngine({ openaiUrl: models.url });
  [near, far] = await Promise.all([makeTestApi({ engine }), makeTestApi({ engine })]);
  viewer = (await near.makeKey({ roles: ['viewer'], workspaceId: engine.workspaceId })).apiKey;
  const secrets = createSecretService({ database: engine.rig.database, sealing: createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) }) });
  await secrets.set({ workspaceId: engine.workspaceId, actor: 'prn_test', name: 'TOKEN', value: 'SECRET-private', hosts: ['127.0.0.1'] });
});

afterAll(async () => {
  await Promise.all([near?.close(), far?.close()]);
  await engine.close();
  await models.close();
});

const planOf = (prompt: string): string => `
plan: speak
steps:
  ask: { llm: { model: fast, prompt: "${prompt}" }, retry: { maxAttempts: 3, initialDelayMs: 10 } }
output: "\${steps.ask.output}"
`;
const startRun = async (prompt = 'Speak slowly'): Promise<string> => engine.start(await engine.save(planOf(prompt)));

interface Watched {
  messages: EventSourceMessage[];
  ended: Promise<void>;
  stop(): void;
}

/** Follows a stream until an event of that type has come. */
async function watch(
  path: string,
  options: { api?: TestApi | undefined; until?: string; headers?: Record<string, string>; apiKey?: string } = {},
): Promise<Watched> {
  const { api = near, until = 'run.succeeded', headers = {}, apiKey = viewer } = options;
  const hangUp = new AbortController();
  const response = await fetch(`${api!.url}${path}`, {
    headers: { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream', ...headers },
    signal: hangUp.signal,
  });
  expect(response.status).toBe(200);
  const messages: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => messages.push(message) });
  const read = async (): Promise<void> => {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    while (!messages.some(({ event }) => event === until)) {
      const { done, value } = await reader.read();
      if (done) break;
      parser.feed(value);
    }
    hangUp.abort();
  };
  return { messages, ended: read(), stop: () => hangUp.abort() };
}

const deltasOf = (messages: readonly EventSourceMessage[]): ModelDelta[] =>
  messages.filter(({ event }) => event === 'model.delta').map(({ data }) => JSON.parse(data) as ModelDelta);

/** Joined as a client does: each piece stands where it says. */
const textOf = (deltas: readonly ModelDelta[]): string => deltas.reduce((text, { data }) => text.slice(0, data.from) + data.text, '');

const kindsOf = (messages: readonly EventSourceMessage[]): (string | undefined)[] => messages.map(({ event }) => event);

const rowsOf = async (runId: string): Promise<number> => (await engine.rig.system.sql`select 1 from kos.model_deltas where run_id = ${runId}`).length;

describe('text of a model, as it comes', () => {
  it('reaches who watches the run, and who watches the workspace, through either API, between the events of its step', async () => {
    const everything = await watch('/v1/events', { api: far });
    const runId = await startRun();
    const [here, there] = await Promise.all([watch(`/v1/runs/${runId}/events`), watch(`/v1/runs/${runId}/events`, { api: far })]);
    await Promise.all([everything.ended, here.ended, there.ended]);
    for (const { messages } of [everything, here, there]) {
      const deltas = deltasOf(messages);
      expect(textOf(deltas)).toBe(spoken);
      // 20 words in 1.2 s, in batches of 50 ms or more.
      expect(deltas.length).toBeGreaterThan(3);
      expect(deltas.length).toBeLessThanOrEqual(20);
      expect(deltas[0]).toEqual({
        type: 'model.delta',
        workspaceId: engine.workspaceId,
        runId,
        at: expect.stringMatching(/^\d{4}-/),
        data: { stepPath: 'ask', attempt: 1, call: expect.any(Number), from: 0, text: expect.stringMatching(/^word-0/) },
      });
      const kinds = kindsOf(messages);
      expect(kinds.indexOf('step.started')).toBeLessThan(kinds.indexOf('model.delta'));
      expect(kinds.lastIndexOf('model.delta')).toBeLessThan(kinds.indexOf('step.succeeded'));
      expect(messages.filter(({ event }) => event === 'model.delta').map(({ id }) => id)).toEqual(deltas.map(() => undefined));
    }
    expect((await engine.read(runId)).output).toBe(spoken);
  });

  it('leaves no trace: no event, no number, nothing in Temporal, and soon nothing in its table', async () => {
    const runId = await startRun('Speak of TRACES');
    const { ended } = await watch(`/v1/runs/${runId}/events`);
    await expect.poll(() => rowsOf(runId), { timeout: 10_000 }).toBeGreaterThan(0);
    await ended;
    const { sql } = engine.rig.system;
    const types = await sql<{ type: string }[]>`select type from kos.events where run_id = ${runId} and seq is not null order by seq`;
    expect(types.map(({ type }) => type)).toEqual(['run.accepted', 'run.started', 'step.started', 'step.succeeded', 'run.succeeded']);
    for await (const { history } of historiesOf(engine, [runId]))
      expect(Buffer.from(proto.temporal.api.history.v1.History.encode(history).finish()).includes('word-')).toBe(false);
    await expect.poll(() => rowsOf(runId), { timeout: 15_000 }).toBe(0);
    expect(await sql`select relpersistence as kept from pg_class where oid = 'kos.model_deltas'::regclass`).toEqual([{ kept: 'u' }]);
  });

  it('comes whole to who comes in the middle, or comes back, with whatever position', async () => {
    const runId = await startRun();
    const first = await watch(`/v1/runs/${runId}/events`, { until: 'model.delta' });
    await first.ended;
    const position = first.messages.findLast(({ id }) => id !== undefined)?.id ?? '';
    await sleep(300);
    const second = await watch(`/v1/runs/${runId}/events`, { headers: { 'last-event-id': position } });
    await second.ended;
    const deltas = deltasOf(second.messages);
    expect(deltas[0]?.data.from).toBe(0);
    expect(deltas[0]?.data.text.length).toBeGreaterThan(deltasOf(first.messages)[0]?.data.text.length ?? 0);
    expect(textOf(deltas)).toBe(spoken);
    expect(kindsOf(second.messages).filter((kind) => kind !== 'model.delta')).toEqual(['step.succeeded', 'run.succeeded']);
    // Who comes afterwards reads the output.
    const third = await watch(`/v1/runs/${runId}/events`);
    await third.ended;
    expect(deltasOf(third.messages)).toEqual([]);
  });

  it('comes through a WebSocket, in its envelope, without a position', async () => {
    const runId = await startRun();
    const socket = new WebSocket(`${near!.url.replace('http', 'ws')}/v1/ws?run=${runId}`, { headers: { authorization: `Bearer ${viewer}` } });
    const received: EventEnvelope[] = [];
    socket.on('message', (message: Buffer) => received.push(JSON.parse(message.toString()) as EventEnvelope));
    await expect.poll(() => received.map(({ type }) => type), { timeout: 30_000 }).toContain('run.succeeded');
    socket.terminate();
    const deltas = received.filter(({ type }) => type === 'model.delta');
    expect(deltas[0]).toEqual({
      id: null,
      type: 'model.delta',
      agent: null,
      task_id: runId,
      payload: { stepPath: 'ask', attempt: 1, call: expect.any(Number), from: 0, text: expect.stringMatching(/^word-0/) },
      timestamp: expect.any(String),
      position: null,
    });
    const said = deltas.map(({ payload }) => (payload as unknown as ModelDelta['data']).text);
    expect(said.join('')).toBe(spoken);
  });

  it('of a call that breaks off gives way to that of the next attempt', async () => {
    const runId = await startRun('This BREAKS');
    const { messages, ended } = await watch(`/v1/runs/${runId}/events`);
    await ended;
    const deltas = deltasOf(messages);
    const last = Math.max(...deltas.map(({ data }) => data.call));
    expect(textOf(deltas.filter(({ data }) => data.call === last))).toBe(spoken);
    expect(deltas.at(-1)?.data.attempt).toBe(2);
  });

  it('that is said at once is written nowhere: the output has it as soon', async () => {
    const runId = await startRun('Say it AT-ONCE');
    const { messages, ended } = await watch(`/v1/runs/${runId}/events`);
    await ended;
    expect([deltasOf(messages), await rowsOf(runId), (await engine.read(runId)).output]).toEqual([[], 0, 'at once']);
  });
});

describe('who gets it', () => {
  it('is who may read the outputs of steps, in their own workspace, and asked for it', async () => {
    const scoped = async (scopes: string[]): Promise<string> => (await near!.makeKey({ roles: ['owner'], scopes, workspaceId: engine.workspaceId })).apiKey;
    const elsewhere = (await near!.makeKey({ roles: ['owner'], workspaceId: await near!.makeWorkspace() })).apiKey;
    const blind = await scoped(['approvals:read', 'plans:read']);
    const watching = {
      blind: await watch('/v1/events', { apiKey: blind }),
      elsewhere: await watch('/v1/events', { apiKey: elsewhere }),
      events: await watch('/v1/events?topic=run,step'),
      text: await watch('/v1/events?topic=model'),
    };
    const whole = await watch('/v1/events');
    await startRun();
    await whole.ended;
    await watching.events.ended;
    await expect.poll(() => textOf(deltasOf(watching.text.messages))).toBe(spoken);
    expect(textOf(deltasOf(whole.messages))).toBe(spoken);
    for (const name of ['blind', 'elsewhere', 'events'] as const) expect(deltasOf(watching[name].messages), name).toEqual([]);
    expect(new Set(kindsOf(watching.text.messages))).toEqual(new Set(['ready', 'model.delta']));
    for (const one of Object.values(watching)) {
      one.stop();
      await one.ended.catch(() => undefined);
    }
    expect(await near!.call('GET', '/v1/events?topic=model', { apiKey: blind })).toMatchObject({ status: 403, body: { code: 'permission_missing' } });
  });

  it('is nobody any more who loses that right while the model speaks', async () => {
    const { apiKey, credentialId } = await near!.makeKey({ roles: ['owner'], scopes: ['runs:read', 'plans:read'], workspaceId: engine.workspaceId });
    const watching = await watch('/v1/events', { apiKey });
    await startRun();
    await expect.poll(() => deltasOf(watching.messages).length, { timeout: 20_000 }).toBeGreaterThan(0);
    await near!.rig.system.sql`update kos.credentials set scopes = '["plans:read"]' where id = ${credentialId}`;
    await sleep(3_000);
    const before = deltasOf(watching.messages).length;
    const runId = await startRun();
    await engine.ended(runId);
    expect(deltasOf(watching.messages).length).toBe(before);
    watching.stop();
    await watching.ended.catch(() => undefined);
  });

  it('sees no secret that its output would not show: a model is given the handle alone', async () => {
    const runId = await startRun('Speak of secret://TOKEN');
    const { messages, ended } = await watch(`/v1/runs/${runId}/events`);
    await ended;
    expect(models.requests.at(-1)?.text).toContain('secret://TOKEN');
    expect(JSON.stringify(models.requests)).not.toContain('SECRET-private');
    expect(textOf(deltasOf(messages))).toBe((await engine.read(runId)).output);
  });
});
