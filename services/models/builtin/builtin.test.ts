import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '#schemas/json.ts';
import { createModelService } from '../model-service.ts';
import type { ModelRequest, ModelResult } from '../model.ts';
import { checkAnswerHere, jsonInText } from '../structured.ts';
import { fillSchema } from './fill.ts';

const models = createModelService({ openai: { apiKey: undefined, baseUrl: undefined } });
const call = (prompt: string, request: Partial<ModelRequest> = {}): Promise<ModelResult> =>
  models.call({ model: 'fast', prompt, signal: new AbortController().signal, ...request });
const explain = async (cluster: Json): Promise<string> => (await call(`Explain this cluster of log lines: ${JSON.stringify(cluster)}`)).text;

describe('every answer', () => {
  test('says that it is no language model, costs nothing, and is the same each time', async () => {
    const pieces: string[] = [];
    const first = await call('ERROR db: deadlock detected', { onDelta: (text) => pieces.push(text) });
    expect(first).toMatchObject({ provider: 'builtin', model: 'summary', labels: ['builtin: rules, not a language model'], costMicros: 0, currency: 'USD' });
    expect(first.usage).toEqual({ inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 });
    expect(await call('ERROR db: deadlock detected')).toEqual(first);
    expect(pieces.join('')).toBe(first.text);
  });

  test('exists for any prompt', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 300 }), async (prompt) => {
        expect(typeof (await call(prompt)).text).toBe('string');
      }),
      { numRuns: 100 },
    );
  });

  test('of a cancelled call is none', async () => {
    await expect(call('x', { signal: AbortSignal.abort() })).rejects.toThrow(/aborted/);
  });
});

describe('a cluster of log lines', () => {
  test('is told by level, count, component, meaning and advice', async () => {
    const text = await explain({
      template: 'connect ECONNREFUSED <*>:<*>',
      count: 42,
      level: 'error',
      samples: ['2026-01-01T00:00:00Z ERROR [payments] connect ECONNREFUSED 10.0.0.5:5432'],
      files: ['api.log'],
    });
    expect(text).toContain('ERROR, 42 times: `connect ECONNREFUSED <*>:<*>`, in api.log.');
    expect(text).toContain('For example: `2026-01-01T00:00:00Z ERROR [payments] connect ECONNREFUSED 10.0.0.5:5432`.');
    expect(text).toContain('It names payments.');
    expect(text).toContain('By the built-in rule "connection refused", such lines commonly mean that nothing listens at the address');
    expect(text).toContain('Check that the other service runs');
  });

  test.each<[string, string, string]>([
    ['kernel: Out of memory: Killed process <*>', 'out of memory', ''],
    ['write failed: No space left on device', 'disk full', ''],
    ['sshd[<*>]: Failed password for root from <*>', 'sign-in or key', 'sshd'],
    ['GET /x HTTP/1.1" 404 <*>', 'not found', ''],
    ['open /etc/shadow: permission denied', 'permission', ''],
    ['upstream timed out after <*> ms', 'time-out', ''],
    ['LOG: checkpoint complete: wrote <*> buffers', 'database upkeep', ''],
    ['received SIGTERM, shutting down', 'shutdown', ''],
    ['status unpacked <*> <*>', 'packages', ''],
  ])('%s', async (template, rule, component) => {
    const text = await explain({ template, count: 3 });
    expect(text).toContain(`By the built-in rule "${rule}"`);
    expect(text).toContain(component === '' ? '3 times' : `It names ${component}.`);
  });

  test('that no rule knows is not explained away', async () => {
    expect(await explain({ template: 'frobnicated <*> widgets', count: 2, level: 'error' })).toContain(
      'No built-in rule knows this message; its level alone says that it deserves a look.',
    );
    expect(await explain({ template: 'took 404 ms and 503 rows', count: 1, level: 'info' })).toContain(
      'No built-in rule knows this message, and nothing in it sounds an alarm.',
    );
  });

  test('states a level only where the line does', async () => {
    expect(await explain({ template: 'finished with no error', count: 1 })).toMatch(/^No level stated, once/);
    expect(await explain({ template: '{"level":50,"msg":"x"}', count: 1 })).toMatch(/^ERROR, once/);
  });
});

test('raw log is counted and sorted, the gravest kinds first', async () => {
  const lines = [
    '2026-01-01 10:00:00 INFO api: done in 12 ms',
    '2026-01-01 10:00:01 INFO api: done in 14 ms',
    '2026-01-01 10:00:02 ERROR db: deadlock detected on relation 77',
  ];
  const [head, first, second] = (await call(`Summarise:\n${lines.join('\n')}`)).text.split('\n');
  expect(head).toBe('3 lines of 2 kinds; 1 line of level WARN or above.');
  expect(first).toMatch(/^ERROR, once: .*It names db\..*deadlock/);
  expect(second).toMatch(/^INFO, 2 times/);
});

test('prose is cut down to its most telling sentences, in their order', async () => {
  const prompt = `Summarize this: The worker replays the history of a workflow. Some people like tea. A workflow goes on after a crash, because a worker replays its history. It rained.`;
  const { text } = await call(prompt, { maxOutputTokens: 30 });
  expect(text).toBe('The worker replays the history of a workflow. A workflow goes on after a crash, because a worker replays its history.');
});

test('keywords are the most frequent words of content', async () => {
  expect((await call('List keywords: durable runs and durable plans; plans are durable', { model: 'builtin/keywords' })).text).toBe('durable, plans, runs');
});

test('text made of blanks keeps no rule busy', async () => {
  const started = performance.now();
  const blank = `count${' '.repeat(300_000)}x ${'```'}${'\n'.repeat(300_000)}`;
  expect(jsonInText(blank)).toBeUndefined();
  expect(fillSchema({ type: 'object', properties: { count: { type: 'integer' } } }, { prompt: blank, text: blank, summary: '' })).toEqual({ count: 0 });
  expect(performance.now() - started).toBeLessThan(10_000);
});

test.each([
  ['```json\n{"a":1}\n```', { a: 1 }],
  ['Here:\n```\n\n[1]\n\n```\nDone.', [1]],
  ['```json  \n{"a":"``"}```', { a: '``' }],
  ['So {"a":2} it is', { a: 2 }],
  ['```json\n{"a":1', undefined],
])('%j holds %j', (text, value) => {
  expect(jsonInText(text)).toEqual(value);
});

describe('a schema', () => {
  const ticket =
    'Classify the ticket: The app crashed with a fatal error. Contact bob@example.com, order total: 42.50, urgent: yes. See https://example.com/t/1.';

  test('is filled from what the text states', async () => {
    const properties = {
      severity: { enum: ['low', 'medium', 'fatal'] },
      email: { type: 'string', format: 'email' },
      orderTotal: { type: 'number' },
      urgent: { type: 'boolean' },
      title: { type: 'string', maxLength: 40 },
      link: { type: 'string', format: 'uri' },
      tags: { type: 'array', items: { type: 'string' }, maxItems: 2 },
    };
    const result = await call(ticket, { schema: { type: 'object', required: Object.keys(properties), properties, additionalProperties: false } });
    expect(result.model).toBe('fill');
    expect(result.object).toMatchObject({ severity: 'fatal', email: 'bob@example.com', orderTotal: 42.5, urgent: true, link: 'https://example.com/t/1' });
    expect(JSON.parse(result.text)).toEqual(result.object);
  });

  test('takes over values of the same name, and describes clusters by the rules', async () => {
    const schema = { type: 'object', properties: { count: { type: 'integer' }, level: { type: 'string' }, summary: { type: 'string' } } };
    const { object } = await call(`Explain: ${JSON.stringify({ template: 'request timed out', level: 'error', count: 4 })}`, { schema });
    expect(object).toMatchObject({ count: 4, level: 'error' });
    expect((object as { summary: string }).summary).toContain('time-out');
  });

  test('that the rules cannot meet is a failure, not an invention', async () => {
    await expect(call(ticket, { schema: { type: 'object', properties: { code: { type: 'string', pattern: '^X{40}$' } } } })).rejects.toMatchObject({
      code: 'model_output_invalid',
      retryable: false,
      billed: 'none',
    });
  });

  test('is met by whatever comes back', async () => {
    const leaf = fc.constantFrom<Json>(
      { type: 'string' },
      { type: 'integer', minimum: 3 },
      { type: 'number', maximum: 1 },
      { type: 'boolean' },
      { enum: ['a', 'b'] },
      { type: 'array', items: { type: 'number' }, minItems: 2 },
    );
    const schemas = fc
      .dictionary(fc.stringMatching(/^[a-z]{1,8}$/), leaf, { maxKeys: 5 })
      .map((properties) => ({ type: 'object', properties, required: Object.keys(properties) }));
    await fc.assert(
      fc.asyncProperty(schemas, fc.lorem({ maxCount: 20 }), async (schema, prompt) => {
        const { object } = await call(prompt, { schema });
        expect(await checkAnswerHere(schema, object ?? null)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
