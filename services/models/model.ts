import { KosError, type KosErrorOptions } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';

export interface ModelRequest {
  /** `fast`, `builtin/summary`, `openai/gpt-…`: an alias or provider/name. */
  model: string;
  system?: string;
  prompt: string;
  /** JSON Schema of the wanted object; the result then has `object`. */
  schema?: Json;
  maxOutputTokens?: number;
  temperature?: number;
  signal: AbortSignal;
  /** Text as it is produced, in order. Optional: without it nothing is streamed. */
  onDelta?: (text: string) => void;
}

/** Disjoint token classes: the sum is what was billed. */
export interface ModelUsage {
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

/** Micros (1/1,000,000 USD) per million tokens, which is the list price in dollars times one million. */
export interface ModelPrice {
  inputMicros: number;
  cachedInputMicros: number;
  /** Reasoning tokens are billed as output. */
  outputMicros: number;
}

export interface ModelResult {
  text: string;
  /** Present when a schema was asked for: already valid against it. */
  object?: Json;
  usage: ModelUsage;
  /** Integer micros (1/1,000,000) of `currency`; null when the price is unknown. */
  costMicros: number | null;
  currency: string;
  provider: string;
  model: string;
  /** What a reader must know of how the text came to be, e.g. `builtin: rules, not a language model`. */
  labels: string[];
}

export interface ModelFailureOptions extends KosErrorOptions {
  /** none: surely not billed. unknown: the provider may have worked and billed. */
  billed: 'none' | 'unknown';
  retryAfterMs?: number;
}

export class ModelFailure extends KosError {
  readonly billed: 'none' | 'unknown';
  readonly retryAfterMs: number | null;

  constructor(options: ModelFailureOptions) {
    super(options);
    this.name = 'ModelFailure';
    this.billed = options.billed;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

export interface ModelService {
  /** Throws ModelFailure. */
  call(request: ModelRequest): Promise<ModelResult>;
  /** What a name stands for now, as provider/name. Throws ModelFailure `model_unknown`. */
  nameOf(model: string, hasSchema: boolean): string;
  /** What a name stands for now, and its price; null: it stands for nothing, or no price is known. */
  price(model: string, hasSchema: boolean): { resolvesTo: string | null; price: ModelPrice | null };
  /** Names that resolve, aliases included, with what they stand for. */
  list(): { name: string; resolvesTo: string; label: string | null }[];
}
