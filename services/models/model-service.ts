import { builtinModels, type BuiltinName } from './builtin/builtin.ts';
import { ModelFailure, type ModelPrice, type ModelRequest, type ModelResult, type ModelService } from './model.ts';
import { callOpenai, openaiBaseUrl, type OpenaiServer, priceAt } from './openai.ts';
import { noPrice } from './prices.ts';
import { type AnswerCheck, checkAnswerHere } from './structured.ts';

export type ModelAlias = 'fast' | 'smart' | 'default';

export interface ModelServiceOptions {
  openai: {
    apiKey: string | undefined;
    /** Any OpenAI-compatible server; undefined: OpenAI's own. */
    baseUrl: string | undefined;
    /** What the aliases stand for on this server. */
    aliases?: Partial<Record<ModelAlias, string>>;
  };
  fetch?: typeof fetch;
  /** Replaces the list prices; also the way to price models of another server. */
  prices?: Readonly<Record<string, ModelPrice>>;
  /** Default: in this thread. */
  checkAnswer?: AnswerCheck;
  /** Milliseconds since the epoch; for dates in Retry-After. */
  now?: () => number;
}

/** Sensible for most work: no reasoning delay, understands schemas and temperature. */
const openaiAliases: Record<ModelAlias, string> = { fast: 'gpt-4.1-mini', smart: 'gpt-4.1', default: 'gpt-4.1-mini' };
const aliases = Object.keys(openaiAliases) as ModelAlias[];
const isAlias = (name: string): name is ModelAlias => Object.hasOwn(openaiAliases, name);

type Target = { provider: 'openai'; model: string } | { provider: 'builtin'; model: BuiltinName };

/** Models by name: `builtin/*` always, `openai/*` when a key or a server is configured, and aliases for the better of the two. Never retries: retries are the step's. */
export function createModelService(options: ModelServiceOptions): ModelService {
  const { apiKey, baseUrl } = options.openai;
  const configured = apiKey !== undefined || baseUrl !== undefined;
  const openaiNames = { ...openaiAliases, ...options.openai.aliases };
  const server: OpenaiServer = {
    apiKey,
    baseUrl: baseUrl ?? openaiBaseUrl,
    fetch: options.fetch,
    prices: options.prices,
    now: options.now ?? Date.now,
    checkAnswer: options.checkAnswer ?? checkAnswerHere,
  };

  const find = (name: string, hasSchema: boolean): Target | null => {
    if (isAlias(name)) return configured ? { provider: 'openai', model: openaiNames[name] } : { provider: 'builtin', model: hasSchema ? 'fill' : 'summary' };
    const [provider, model] = splitName(name);
    if (provider === 'openai' && model !== '') return { provider, model };
    if (provider === 'builtin' && isBuiltin(model)) return { provider, model };
    return null;
  };

  const resolve = (name: string, hasSchema: boolean): Target => {
    const target = find(name, hasSchema);
    if (target === null) throw unknownModel(name);
    return target;
  };

  const call = async (request: ModelRequest): Promise<ModelResult> => {
    const target = resolve(request.model, request.schema !== undefined);
    if (target.provider === 'builtin') return builtinModels[target.model].call(request, server.checkAnswer);
    if (!configured) throw notConfigured(request.model);
    return callOpenai(server, target.model, request);
  };

  const list = (): ReturnType<ModelService['list']> => [
    ...aliases.map((name) => ({ name, resolvesTo: nameOfTarget(resolve(name, false)), label: configured ? null : builtinModels.summary.label })),
    ...Object.entries(builtinModels).map(([name, { label }]) => ({ name: `builtin/${name}`, resolvesTo: `builtin/${name}`, label })),
  ];

  const price = (name: string, hasSchema: boolean): ReturnType<ModelService['price']> => {
    const target = find(name, hasSchema);
    if (target === null) return { resolvesTo: null, price: null };
    return { resolvesTo: nameOfTarget(target), price: target.provider === 'builtin' ? noPrice : priceAt(server, target.model) };
  };

  return { call, price, nameOf: (model, hasSchema) => nameOfTarget(resolve(model, hasSchema)), list };
}

const nameOfTarget = (target: Target): string => `${target.provider}/${target.model}`;

/** Only the first slash parts provider and name: servers have names such as `meta-llama/Llama-3`. */
function splitName(name: string): [string, string] {
  const slash = name.indexOf('/');
  return slash === -1 ? [name, ''] : [name.slice(0, slash), name.slice(slash + 1)];
}

const isBuiltin = (name: string): name is BuiltinName => Object.hasOwn(builtinModels, name);

function unknownModel(name: string): ModelFailure {
  const known = [...aliases, ...Object.keys(builtinModels).map((builtin) => `builtin/${builtin}`), 'openai/<name>'].join(', ');
  return new ModelFailure({
    code: 'model_unknown',
    message: `There is no model ${JSON.stringify(name)}.`,
    fix: `Use one of ${known}.`,
    status: 422,
    billed: 'none',
  });
}

function notConfigured(name: string): ModelFailure {
  return new ModelFailure({
    code: 'model_not_configured',
    message: `${name} needs a model server, and none is configured.`,
    fix: 'Set OPENAI_API_KEY, or OPENAI_BASE_URL for another OpenAI-compatible server, and restart; or use builtin/summary.',
    status: 422,
    billed: 'none',
  });
}
