import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { createScriptedModelServer, type ScriptedModelServer, type ScriptedReply } from '#tests/scripted-model-server/server.ts';
import { ModelFailure, type ModelRequest, type ModelResult } from './model.ts';
import { createModelService } from './model-service.ts';

let server: ScriptedModelServer | null = null;

afterEach(async () => {
  await server?.close();
  server = null;
});

/** A call to the scripted server; prices are OpenAI's so that costs can be checked. */
async function call(replies: ScriptedReply[], request: Partial<ModelRequest> = {}): Promise<ModelResult> {
  server = await createScriptedModelServer(replies, { apiKey: 'test-key' });
  const models = createModelService({
    openai: { apiKey: 'test-key', baseUrl: server.url },
    prices: { 'gpt-4.1-mini': { inputMicros: 400_000, cachedInputMicros: 100_000, outputMicros: 1_600_000 } },
  });
  return models.call({ model: 'openai/gpt-4.1-mini', prompt: 'Say hello.', signal: new AbortController().signal, ...request });
}

const failureOf = async (replies: ScriptedReply[], request: Partial<ModelRequest> = {}): Promise<ModelFailure> => {
  const thrown: unknown = await call(replies, request).then(
    () => 'no failure',
    (error: unknown) => error,
  );
  if (!(thrown instanceof ModelFailure)) throw new Error(`expected a ModelFailure, got ${String(thrown)}`);
  return thrown;
};

describe('an answer', () => {
  test('comes with disjoint token classes and its cost', async () => {
    const usage = { promptTokens: 1_000, cachedTokens: 400, completionTokens: 100, reasoningTokens: 30 };
    const result = await call([{ kind: 'text', text: 'Hello.', usage }], { system: 'Be brief.', temperature: 0, maxOutputTokens: 50 });
    expect(result).toEqual({
      text: 'Hello.',
      usage: { inputTokens: 600, cachedInputTokens: 400, outputTokens: 70, reasoningTokens: 30 },
      costMicros: 600 * 0.4 + 400 * 0.1 + 100 * 1.6,
      currency: 'USD',
      provider: 'openai',
      model: 'gpt-4.1-mini',
      labels: [],
    });
    expect(server?.requests[0]?.body).toMatchObject({ model: 'gpt-4.1-mini', temperature: 0, max_tokens: 50 });
    expect(server?.requests[0]?.text).toBe('Be brief.\nSay hello.');
  });

  test('of a model without a known price costs null', async () => {
    expect((await call([{ kind: 'text', text: 'Hi' }], { model: 'openai/house-model' })).costMicros).toBeNull();
  });

  test('that was cut off says so', async () => {
    expect((await call([{ kind: 'text', text: 'Hel', finishReason: 'length' }])).labels).toEqual(['cut off at the output limit']);
  });

  test('streams in order, with its usage at the end', async () => {
    const pieces: string[] = [];
    const reply: ScriptedReply = {
      kind: 'text',
      text: 'one two three',
      pieces: ['one ', 'two ', 'three'],
      pieceDelayMs: 5,
      usage: { promptTokens: 7, completionTokens: 3 },
    };
    const result = await call([reply], { onDelta: (text) => pieces.push(text) });
    expect(pieces).toEqual(['one ', 'two ', 'three']);
    expect(result.text).toBe('one two three');
    expect(result.usage).toEqual({ inputTokens: 7, cachedInputTokens: 0, outputTokens: 3, reasoningTokens: 0 });
  });
});

const schema = { type: 'object', properties: { level: { enum: ['low', 'high'] } }, required: ['level'], additionalProperties: false };

describe('an object', () => {
  test('is asked for by schema and given back valid', async () => {
    const result = await call([{ kind: 'text', text: '{"level":"high"}' }], { schema });
    expect(result.object).toEqual({ level: 'high' });
    expect(server?.requests[0]?.body).toMatchObject({ response_format: { type: 'json_schema', json_schema: { schema } } });
  });

  test('streams too', async () => {
    const result = await call([{ kind: 'text', text: '{"level":"low"}', pieces: ['{"level":', '"low"}'] }], { schema, onDelta: () => undefined });
    expect(result.object).toEqual({ level: 'low' });
  });

  test('is asked for in words where the server knows no schemas', async () => {
    const refusal: ScriptedReply = {
      kind: 'error',
      status: 400,
      message: "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    };
    const result = await call([refusal, { kind: 'text', text: 'Here it is:\n```json\n{"level":"high"}\n```' }], { schema });
    expect(result.object).toEqual({ level: 'high' });
    expect(server?.requests[1]?.body).not.toHaveProperty('response_format');
    expect(server?.requests[1]?.text).toContain('"additionalProperties":false');
  });

  test.each([
    ['does not fit the schema', '{"level":"medium"}', /schema/],
    ['is no JSON', 'I would say high.', /asked for JSON/],
  ])('that %s is a retryable failure that carries what it cost', async (_what, text, message) => {
    const failure = await failureOf([{ kind: 'text', text }], { schema });
    expect(failure).toMatchObject({ code: 'model_output_invalid', retryable: true, billed: 'unknown', extra: { usage: { inputTokens: 10, outputTokens: 5 } } });
    expect(failure.message).toMatch(message);
  });

  test('whose schema is no schema fails before anything is sent', async () => {
    expect(await failureOf([], { schema: { type: 'obejct' } })).toMatchObject({ code: 'model_schema_invalid', billed: 'none', retryable: false });
  });
});

describe('failures', () => {
  test.each<[string, ScriptedReply, object]>([
    [
      'a rate limit in seconds',
      { kind: 'error', status: 429, headers: { 'retry-after': '7' } },
      { code: 'model_rate_limited', retryable: true, billed: 'none', retryAfterMs: 7_000 },
    ],
    ['a rate limit in milliseconds', { kind: 'error', status: 429, headers: { 'retry-after-ms': '350' } }, { code: 'model_rate_limited', retryAfterMs: 350 }],
    ['a rate limit without a delay', { kind: 'error', status: 429 }, { code: 'model_rate_limited', retryAfterMs: null }],
    ['no quota', { kind: 'error', status: 429, code: 'insufficient_quota' }, { code: 'model_quota_exhausted', retryable: false, billed: 'none' }],
    ['a server error', { kind: 'error', status: 500 }, { code: 'model_unavailable', retryable: true, billed: 'unknown' }],
    [
      'an overloaded server',
      { kind: 'error', status: 503, headers: { 'retry-after': '2' } },
      { code: 'model_unavailable', retryable: true, retryAfterMs: 2_000 },
    ],
    ['a missing permission', { kind: 'error', status: 403 }, { code: 'model_unauthorised', retryable: false, billed: 'none' }],
    ['an unknown model', { kind: 'error', status: 404, code: 'model_not_found' }, { code: 'model_unknown', retryable: false, billed: 'none' }],
    ['a long prompt', { kind: 'error', status: 400, code: 'context_length_exceeded' }, { code: 'model_context_too_long', retryable: false, billed: 'none' }],
    ['another bad request', { kind: 'error', status: 400 }, { code: 'model_request_refused', retryable: false, billed: 'none' }],
    ['a refusal', { kind: 'refusal', text: 'I cannot help with that.' }, { code: 'model_refused', retryable: false, billed: 'unknown' }],
    ['a content filter', { kind: 'text', text: 'x', finishReason: 'content_filter' }, { code: 'model_refused', retryable: false }],
    ['no text', { kind: 'text', text: '' }, { code: 'model_output_invalid', retryable: true }],
    [
      'tool calls nobody asked for',
      { kind: 'toolCalls', calls: [{ id: 'c1', name: 'delete', arguments: '{}' }] },
      { code: 'model_output_invalid', retryable: true },
    ],
    ['truncated JSON', { kind: 'truncated', text: 'a long answer' }, { code: 'model_response_broken', retryable: true, billed: 'unknown' }],
    ['a broken connection', { kind: 'broken', text: 'a long answer' }, { code: 'model_response_broken', retryable: true, billed: 'unknown' }],
    ['a body that is no completion', { kind: 'raw', body: '{"hello":"world"}' }, { code: 'model_response_broken', retryable: true, billed: 'unknown' }],
    ['a page instead of JSON', { kind: 'raw', body: '<html>gateway</html>', contentType: 'text/html' }, { retryable: true, billed: 'unknown' }],
  ])('%s', async (_what, reply, expected) => {
    expect(await failureOf([reply])).toMatchObject(expected);
  });

  test.each<[string, ScriptedReply]>([
    ['ends early', { kind: 'truncated', text: 'a long answer' }],
    ['breaks', { kind: 'broken', text: 'a long answer' }],
  ])('a stream that %s is broken, however much of it was shown', async (_what, reply) => {
    expect(await failureOf([reply], { onDelta: () => undefined })).toMatchObject({ code: 'model_response_broken', retryable: true, billed: 'unknown' });
  });

  test('a refusal inside a stream', async () => {
    const failure = await failureOf([{ kind: 'refusal', text: 'I cannot help with that.' }], { onDelta: () => undefined });
    expect(failure).toMatchObject({ code: 'model_refused', retryable: false });
    expect(failure.message).toContain('I cannot help');
  });

  test('a date in Retry-After is a delay from now', async () => {
    const failure = await failureOf([{ kind: 'error', status: 429, headers: { 'retry-after': new Date(Date.now() + 60_000).toUTCString() } }]);
    expect(failure.retryAfterMs).toBeGreaterThan(55_000);
    expect(failure.retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  test('a wrong key', async () => {
    server = await createScriptedModelServer([], { apiKey: 'right' });
    const models = createModelService({ openai: { apiKey: 'wrong', baseUrl: server.url } });
    const called = models.call({ model: 'fast', prompt: 'x', signal: new AbortController().signal });
    await expect(called).rejects.toMatchObject({ code: 'model_unauthorised', retryable: false, billed: 'none' });
    await expect(called).rejects.not.toThrow('wrong');
  });

  test('a key or password that the server repeats is not shown', async () => {
    const said = `Invalid key test-key-5f2a for sub:pass-word-9, ${'x'.repeat(270)} test-key-5f2a`;
    server = await createScriptedModelServer([
      { kind: 'error', status: 401, message: said },
      { kind: 'error', status: 500, message: said },
    ]);
    const baseUrl = server.url.replace('http://', 'http://sub:pass-word-9@');
    // Node's fetch takes no address with a password; a proxy's may.
    const withoutUser: typeof fetch = (input, init) => fetch((input instanceof Request ? input.url : input.toString()).replace('sub:pass-word-9@', ''), init);
    const models = createModelService({ openai: { apiKey: 'test-key-5f2a', baseUrl }, fetch: withoutUser });
    for (const code of ['model_unauthorised', 'model_unavailable']) {
      const thrown: unknown = await models.call({ model: 'fast', prompt: 'x', signal: new AbortController().signal }).catch((error: unknown) => error);
      expect(thrown).toMatchObject({ code });
      expect(inspect(thrown, { showHidden: true, depth: 10 })).not.toMatch(/test-key|pass-word/);
    }
    const refused = createModelService({ openai: { apiKey: 'test-key-5f2a', baseUrl } });
    const thrown: unknown = await refused.call({ model: 'fast', prompt: 'x', signal: new AbortController().signal }).catch((error: unknown) => error);
    expect(inspect(thrown, { showHidden: true, depth: 10 })).not.toMatch(/test-key|pass-word/);
  });

  test.each<[string, Partial<ModelRequest>]>([
    ['an answer', {}],
    ['a stream', { onDelta: () => undefined }],
  ])('%s without end is ended', async (_what, request) => {
    const endless = async (): Promise<Response> => {
      const stream = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(1024 * 1024).fill(32)) });
      const type = request.onDelta === undefined ? 'application/json' : 'text/event-stream';
      return new Response(stream, { headers: { 'content-type': type } });
    };
    const models = createModelService({ openai: { apiKey: 'k', baseUrl: 'http://models.example/v1' }, fetch: endless });
    const called = models.call({ model: 'fast', prompt: 'x', signal: AbortSignal.timeout(20_000), ...request });
    await expect(called).rejects.toMatchObject({ code: 'output_too_large', billed: 'unknown' });
  });

  test('usage that cannot be is not taken', async () => {
    const result = await call([{ kind: 'text', text: 'Hi', usage: { promptTokens: 1.5, cachedTokens: -3, completionTokens: 1e12, reasoningTokens: 0 } }]);
    expect(result).toMatchObject({ costMicros: null, labels: ['usage not reported by the provider'] });
  });

  test.each([
    ['a hang', {}],
    ['a hanging stream', { onDelta: () => undefined }],
  ])('%s ends with the time of its step', async (_what, request) => {
    expect(await failureOf([{ kind: 'hang' }], { ...request, signal: AbortSignal.timeout(300) })).toMatchObject({
      code: 'model_timeout',
      retryable: true,
      billed: 'unknown',
    });
  });

  test('cancelling a slow stream stops it', async () => {
    const controller = new AbortController();
    const reply: ScriptedReply = { kind: 'text', text: '', pieces: Array.from({ length: 100 }, () => 'word '), pieceDelayMs: 20 };
    const failure = await failureOf([reply], { signal: controller.signal, onDelta: () => controller.abort() });
    expect(failure).toMatchObject({ code: 'model_cancelled', retryable: false, billed: 'unknown' });
  });

  test('nobody listening', async () => {
    const gone = await createScriptedModelServer([]);
    await gone.close();
    const models = createModelService({ openai: { apiKey: 'k', baseUrl: gone.url } });
    const called = models.call({ model: 'fast', prompt: 'x', signal: new AbortController().signal });
    await expect(called).rejects.toMatchObject({ code: 'model_unreachable', retryable: true, billed: 'none' });
  });
});
