import { describe, expect, test } from 'vitest';
import { createModelService } from './model-service.ts';
import { costOf, openaiPrices, priceOf } from './prices.ts';
import { jsonInText } from './structured.ts';

const signal = new AbortController().signal;
const without = createModelService({ openai: { apiKey: undefined, baseUrl: undefined } });

describe('names', () => {
  test('without a key, aliases stand for the rules', () => {
    const names = Object.fromEntries(without.list().map(({ name, resolvesTo }) => [name, resolvesTo]));
    expect(names).toMatchObject({ fast: 'builtin/summary', smart: 'builtin/summary', default: 'builtin/summary', 'builtin/fill': 'builtin/fill' });
    expect(without.list().every(({ label }) => label === 'builtin: rules, not a language model')).toBe(true);
  });

  test('with a key or a server, aliases stand for its models, which settings may name', () => {
    const models = createModelService({ openai: { apiKey: 'k', baseUrl: undefined, aliases: { smart: 'meta-llama/Llama-3' } } });
    const names = Object.fromEntries(models.list().map(({ name, resolvesTo }) => [name, resolvesTo]));
    expect(names).toMatchObject({ fast: 'openai/gpt-4.1-mini', smart: 'openai/meta-llama/Llama-3', 'builtin/summary': 'builtin/summary' });
  });

  test.each(['gpt-4.1', 'builtin/other', 'openai/', '', 'anthropic/claude', 'toString'])('%j is refused with the names that exist', async (model) => {
    await expect(without.call({ model, prompt: 'x', signal })).rejects.toMatchObject({
      code: 'model_unknown',
      retryable: false,
      fix: expect.stringContaining('builtin/summary'),
    });
  });

  test('a model that needs a server says how to configure one', async () => {
    await expect(without.call({ model: 'openai/gpt-4.1', prompt: 'x', signal })).rejects.toMatchObject({
      code: 'model_not_configured',
      fix: expect.stringContaining('OPENAI_API_KEY'),
    });
  });
});

describe('prices', () => {
  test('are those of what a name stands for here: rules are free, another server has none that is known', () => {
    const openai = createModelService({ openai: { apiKey: 'k', baseUrl: undefined } });
    expect(openai.price('smart', false)).toEqual({ resolvesTo: 'openai/gpt-4.1', price: openaiPrices['gpt-4.1'] });
    expect(without.price('smart', true)).toEqual({ resolvesTo: 'builtin/fill', price: { inputMicros: 0, cachedInputMicros: 0, outputMicros: 0 } });
    const other = createModelService({ openai: { apiKey: 'k', baseUrl: 'http://127.0.0.1:1/v1' } });
    expect(other.price('smart', false)).toEqual({ resolvesTo: 'openai/gpt-4.1', price: null });
    expect(other.price('none/such', false)).toEqual({ resolvesTo: null, price: null });
  });

  test('of dated names are those of their family; unknown names have none', () => {
    expect(priceOf('gpt-4.1-mini-2025-04-14', openaiPrices)).toBe(openaiPrices['gpt-4.1-mini']);
    expect(priceOf('gpt-4.1-mini-audio', openaiPrices)).toBeNull();
    expect(priceOf('constructor', openaiPrices)).toBeNull();
  });

  test('count each token once and round up', () => {
    const price = { inputMicros: 2_000_000, cachedInputMicros: 500_000, outputMicros: 8_000_000 };
    expect(costOf({ inputTokens: 1_000_000, cachedInputTokens: 1_000_000, outputTokens: 500_000, reasoningTokens: 500_000 }, price)).toBe(10_500_000);
    expect(costOf({ inputTokens: 0, cachedInputTokens: 1, outputTokens: 0, reasoningTokens: 0 }, price)).toBe(1);
  });
});

test.each([
  ['{"a":1}', { a: 1 }],
  ['Sure!\n```json\n{"a":1}\n```\nDone.', { a: 1 }],
  ['The answer is {"a":{"b":2}}.', { a: { b: 2 } }],
  ['[1,2]', [1, 2]],
  ['no', undefined],
  ['', undefined],
  ['{"a":', undefined],
])('JSON in %j', (text, expected) => {
  expect(jsonInText(text)).toEqual(expected);
});
