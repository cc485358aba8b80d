import type { ModelPrice, ModelUsage } from './model.ts';

export const priceCurrency = 'USD';

const dollars = (input: number, cachedInput: number, output: number): ModelPrice => ({
  inputMicros: Math.round(input * 1_000_000),
  cachedInputMicros: Math.round(cachedInput * 1_000_000),
  outputMicros: Math.round(output * 1_000_000),
});

export const noPrice: ModelPrice = dollars(0, 0, 0);

/** OpenAI's public list prices (https://platform.openai.com/docs/pricing), standard tier, as noted on 2025-11-01. A model that is not listed has no known price. */
export const openaiPrices: Readonly<Record<string, ModelPrice>> = {
  'gpt-5': dollars(1.25, 0.125, 10),
  'gpt-5-mini': dollars(0.25, 0.025, 2),
  'gpt-5-nano': dollars(0.05, 0.005, 0.4),
  'gpt-4.1': dollars(2, 0.5, 8),
  'gpt-4.1-mini': dollars(0.4, 0.1, 1.6),
  'gpt-4.1-nano': dollars(0.1, 0.025, 0.4),
  'gpt-4o': dollars(2.5, 1.25, 10),
  'gpt-4o-mini': dollars(0.15, 0.075, 0.6),
};

/** A dated name (`gpt-4.1-mini-2025-04-14`) costs what its family costs. */
export function priceOf(model: string, prices: Readonly<Record<string, ModelPrice>>): ModelPrice | null {
  const family = model.replace(/-\d{4}-\d{2}-\d{2}$/, '');
  return Object.hasOwn(prices, family) ? (prices[family] ?? null) : null;
}

/** Rounded up to whole micros, so that many small calls never look free. */
export function costOf(usage: ModelUsage, price: ModelPrice): number {
  const output = usage.outputTokens + usage.reasoningTokens;
  const micros = usage.inputTokens * price.inputMicros + usage.cachedInputTokens * price.cachedInputMicros + output * price.outputMicros;
  return Math.ceil(micros / 1_000_000);
}
