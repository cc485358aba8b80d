import type { AIMessage, AIMessageChunk, BaseMessage, UsageMetadata } from '@langchain/core/messages';
import type { ChatOpenAICompletions } from '@langchain/openai';
import type { Json } from '#schemas/json.ts';
import { ModelFailure, type ModelPrice, type ModelRequest, type ModelResult, type ModelUsage } from './model.ts';
import { classifyOpenaiError, isSchemaUnsupported } from './openai-failures.ts';
import { boundedFetch } from './bounded-fetch.ts';
import { costOf, openaiPrices, priceCurrency, priceOf } from './prices.ts';
import { type AnswerCheck, inWords, jsonInText, requireSchema } from './structured.ts';

export const openaiBaseUrl = 'https://api.openai.com/v1';

export interface OpenaiServer {
  apiKey: string | undefined;
  baseUrl: string;
  fetch?: typeof fetch | undefined;
  prices?: Readonly<Record<string, ModelPrice>> | undefined;
  now: () => number;
  checkAnswer: AnswerCheck;
}

/** What is read of an answer, or of one piece of a streamed answer. */
interface Answer {
  text: string;
  usage: UsageMetadata | null;
  finishReason: string | null;
  refusal: string | null;
}

/** How the server is asked for an object. `text` is for servers that know no structured output: the schema then stands in the prompt. */
type SchemaMode = 'none' | 'schema' | 'text';

/** Bytes of one answer as they come. A streamed token takes about 300, so this is some 200,000 of them. */
const mostAnswerBytes = 64 * 1024 * 1024;

/** The step's own time-out rules; the client's default of ten minutes would end longer steps early. */
const clientTimeoutMs = 2 ** 31 - 1;

/** Calls one model of an OpenAI-compatible server through LangChain, which is loaded at the first call. Never retries by itself. */
export async function callOpenai(server: OpenaiServer, model: string, request: ModelRequest): Promise<ModelResult> {
  if (request.schema !== undefined) requireSchema(request.schema);
  try {
    const answer = await ask(server, model, request, request.schema === undefined ? 'none' : 'schema');
    return await judge(server, model, request.schema, answer);
  } catch (error) {
    throw classifyOpenaiError(error, { model, ...shownAndSecret(server), signal: request.signal, nowMs: server.now() });
  }
}

/** What of the server's address and key may be shown, and what may not. */
function shownAndSecret({ apiKey, baseUrl }: OpenaiServer): { baseUrl: string; secrets: string[] } {
  const url = URL.parse(baseUrl);
  const secrets = [apiKey, url?.password].filter((secret) => secret !== undefined);
  if (url === null || (url.username === '' && url.password === '')) return { baseUrl, secrets };
  url.username = '';
  url.password = '';
  return { baseUrl: url.href, secrets };
}

async function ask(server: OpenaiServer, model: string, request: ModelRequest, mode: SchemaMode): Promise<Answer> {
  request.signal.throwIfAborted();
  const chat = await createChat(server, model, request);
  const options = { signal: request.signal, ...(mode === 'schema' ? { response_format: schemaFormat(request.schema) } : {}) };
  const messages = await messagesOf(request, mode);
  try {
    if (request.onDelta === undefined && mode !== 'schema') return readMessage(await chat.invoke(messages, options));
    // With a schema, LangChain's plain call parses by itself and on nonsense throws away what the call used; the stream leaves both to us.
    return await readStream(await chat.stream(messages, options), request.onDelta);
  } catch (error) {
    if (mode === 'schema' && isSchemaUnsupported(error)) return ask(server, model, request, 'text');
    throw error;
  }
}

async function createChat(server: OpenaiServer, model: string, request: ModelRequest): Promise<ChatOpenAICompletions> {
  const langchain = await import('@langchain/openai');
  return new langchain.ChatOpenAICompletions({
    model,
    apiKey: server.apiKey ?? 'none',
    maxRetries: 0,
    timeout: clientTimeoutMs,
    streamUsage: true,
    // LangChain drops refusals; they are read from the raw response.
    __includeRawResponse: true,
    configuration: { baseURL: server.baseUrl, fetch: boundedFetch(server.fetch ?? fetch, mostAnswerBytes) },
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    ...(request.maxOutputTokens === undefined ? {} : { maxTokens: request.maxOutputTokens }),
  });
}

/** Not `strict`: OpenAI's strict mode refuses most hand-written schemas. What comes back is validated in any case. */
const schemaFormat = (schema: Json | undefined) => ({
  type: 'json_schema' as const,
  json_schema: { name: 'answer', schema: schema as Record<string, unknown>, strict: false },
});

async function messagesOf(request: ModelRequest, mode: SchemaMode): Promise<BaseMessage[]> {
  const { HumanMessage, SystemMessage } = await import('@langchain/core/messages');
  const rule =
    mode === 'text' ? `Answer with one JSON value and nothing else. It must be valid against this JSON Schema:\n${JSON.stringify(request.schema)}` : null;
  const system = [request.system, rule].filter((part) => typeof part === 'string').join('\n\n');
  return [...(system === '' ? [] : [new SystemMessage(system)]), new HumanMessage(request.prompt)];
}

async function readStream(stream: AsyncIterable<AIMessageChunk>, onDelta: ModelRequest['onDelta']): Promise<Answer> {
  const whole: Answer = { text: '', usage: null, finishReason: null, refusal: null };
  for await (const chunk of stream) {
    const piece = readMessage(chunk);
    whole.text += piece.text;
    whole.usage = piece.usage ?? whole.usage;
    whole.finishReason = piece.finishReason ?? whole.finishReason;
    whole.refusal = piece.refusal === null ? whole.refusal : (whole.refusal ?? '') + piece.refusal;
    if (piece.text !== '') onDelta?.(piece.text);
  }
  if (whole.finishReason !== null) return whole;
  throw new ModelFailure({
    code: 'model_response_broken',
    message: "The model's stream ended before its end was said.",
    status: 502,
    retryable: true,
    billed: 'unknown',
  });
}

interface RawResponse {
  choices?: { message?: { refusal?: unknown }; delta?: { refusal?: unknown } }[];
}

function readMessage(message: AIMessage | AIMessageChunk): Answer {
  const raw = message.additional_kwargs['__raw_response'] as RawResponse | undefined;
  const refusal = raw?.choices?.[0]?.message?.refusal ?? raw?.choices?.[0]?.delta?.refusal;
  const reason: unknown = message.response_metadata['finish_reason'];
  return {
    text: message.text,
    usage: (message.usage_metadata as UsageMetadata | undefined) ?? null,
    finishReason: typeof reason === 'string' ? reason : null,
    refusal: typeof refusal === 'string' && refusal !== '' ? refusal : null,
  };
}

/** Judges what came back: text, or an object that fits its schema. Faults carry what the call used, since it was billed. */
async function judge(server: OpenaiServer, model: string, schema: Json | undefined, answer: Answer): Promise<ModelResult> {
  const usage = usageOf(answer);
  const bill = { usage: usage ?? noUsage, costMicros: usage === null ? null : priceFor(server, model, usage), currency: priceCurrency };
  const object = schema === undefined ? undefined : jsonInText(answer.text);
  const fault = faultOf(answer, schema !== undefined && object === undefined) ?? (await misfitOf(server, schema, object));
  if (fault !== null) {
    const message = `${model} ${fault.message}`;
    throw new ModelFailure({ code: fault.code, message, status: 502, retryable: fault.code === 'model_output_invalid', billed: 'unknown', extra: bill });
  }
  const cut = answer.finishReason === 'length' ? ['cut off at the output limit'] : [];
  const labels = [...cut, ...(usage === null ? ['usage not reported by the provider'] : [])];
  const result = { text: answer.text, ...bill, provider: 'openai', model, labels };
  return object === undefined ? result : { ...result, object };
}

interface AnswerFault {
  code: 'model_refused' | 'model_output_invalid';
  message: string;
}

function faultOf({ text, refusal, finishReason }: Answer, lacksObject: boolean): AnswerFault | null {
  if (refusal !== null) return { code: 'model_refused', message: `refused to answer: ${refusal.slice(0, 300)}` };
  if (finishReason === 'content_filter') return { code: 'model_refused', message: "was stopped by the provider's content filter." };
  if (text.trim() === '') return { code: 'model_output_invalid', message: `answered with no text (finish reason: ${finishReason ?? 'none'}).` };
  if (!lacksObject) return null;
  if (finishReason === 'length') return { code: 'model_output_invalid', message: 'was cut off at the output limit inside its object.' };
  return { code: 'model_output_invalid', message: `was asked for JSON and answered: ${text.slice(0, 200)}` };
}

async function misfitOf(server: OpenaiServer, schema: Json | undefined, object: Json | undefined): Promise<AnswerFault | null> {
  if (schema === undefined || object === undefined) return null;
  const faults = await server.checkAnswer(schema, object);
  return faults.length === 0 ? null : { code: 'model_output_invalid', message: `answered with an object that does not fit its schema: ${inWords(faults)}` };
}

/** Another server may offer a model of the same name at its own price: only OpenAI's own is known here. */
export const priceAt = (server: OpenaiServer, model: string): ModelPrice | null =>
  priceOf(model, server.prices ?? (server.baseUrl === openaiBaseUrl ? openaiPrices : {}));

function priceFor(server: OpenaiServer, model: string, usage: ModelUsage): number | null {
  const price = priceAt(server, model);
  return price === null ? null : costOf(usage, price);
}

const noUsage: ModelUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 };

/** A number that counts tokens, and that the record of calls can hold. */
const isTokenCount = (count: unknown): count is number => Number.isInteger(count) && (count as number) >= 0 && (count as number) < 2 ** 31;
const orNone = (count: unknown): number => (isTokenCount(count) ? count : 0);

/** Providers count cached tokens among the input and reasoning tokens among the output; here every token is counted once. */
function usageOf({ usage: reported }: Answer): ModelUsage | null {
  if (reported === null || !isTokenCount(reported.input_tokens) || !isTokenCount(reported.output_tokens)) return null;
  const cachedInputTokens = orNone(reported.input_token_details?.cache_read);
  const reasoningTokens = orNone(reported.output_token_details?.reasoning);
  return {
    inputTokens: Math.max(0, reported.input_tokens - cachedInputTokens),
    cachedInputTokens,
    outputTokens: Math.max(0, reported.output_tokens - reasoningTokens),
    reasoningTokens,
  };
}
