import { type ASTNode, Environment, type EvaluationError, ParseError } from '@marcbachmann/cel-js';
import type { Json } from '#schemas/json.ts';
import { type ExpressionFault, expressionFailed, expressionResultRefused } from './faults.ts';
import { registerDialect } from './functions.ts';
import { expressionLimits } from './limits.ts';
import { rootNames, type Scope } from './scope.ts';
import { type AccessChain, visitChains } from './syntax.ts';
import { celFromJson, jsonFromCel, NotJson } from './values.ts';

/** One parsed expression. Immutable for callers and shared between plans: parsing the same source again gives the same object. */
export interface Expression {
  source: string;
  ast: ASTNode;
  /** Present when the whole expression only follows literal keys: such a one never enters the engine. */
  chain?: AccessChain;
  /** Data read, as keys from a root; no path is part of another. Only this part of a scope is needed. */
  paths: string[][];
  /** Steps mentioned by name. */
  steps: string[];
  /** Uses of `steps` without a literal name; a plan with one is refused, because its needs cannot be known. */
  dynamicSteps: ExpressionFault[];
  /** Type faults that hold whatever the data is. */
  check(): ExpressionFault | undefined;
  run(context: Record<string, unknown>): unknown;
}

export type ParsedExpression = { ok: true; expression: Expression } | { ok: false; fault: ExpressionFault };

/** All data is `dyn` for the engine: static types are the checker's work (`infer.ts`), so that a wrong guess there never changes a result. */
function createEnvironment(): Environment {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
    limits: {
      maxAstNodes: expressionLimits.astNodes,
      maxDepth: expressionLimits.depth,
      maxListElements: expressionLimits.literalEntries,
      maxMapEntries: expressionLimits.literalEntries,
      maxCallArguments: expressionLimits.callArguments,
    },
  });
  for (const name of rootNames) environment.registerVariable(name, 'dyn');
  registerDialect(environment);
  return environment;
}

export const celEnvironment = createEnvironment();

/** Parsed expressions by source, oldest out first. About 2 kB each. */
const cache = new Map<string, ParsedExpression>();
const cacheSize = 4_000;

export function parseExpression(source: string): ParsedExpression {
  const known = cache.get(source);
  if (known !== undefined) return known;
  const parsed = parseUncached(source);
  if (cache.size >= cacheSize) for (const oldest of cache.keys()) if (cache.delete(oldest)) break;
  cache.set(source, parsed);
  return parsed;
}

function parseUncached(source: string): ParsedExpression {
  const whole = { start: 0, end: source.length };
  if (source.trim() === '') return { ok: false, fault: { message: 'the expression is empty', ...whole } };
  if (source.length > expressionLimits.sourceLength) {
    return { ok: false, fault: { message: `the expression has ${source.length} characters, ${expressionLimits.sourceLength} are allowed`, ...whole } };
  }
  try {
    const parsed = celEnvironment.parse(source);
    return { ok: true, expression: describeExpression(source, parsed.ast, parsed) };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return { ok: false, fault: { message: lowerFirst(error.summary), ...(error.range ?? whole) } };
  }
}

type Engine = ReturnType<Environment['parse']>;

function describeExpression(source: string, ast: ASTNode, engine: Engine): Expression {
  const chains: { chain: AccessChain; node: ASTNode }[] = [];
  visitChains(ast, { chain: (chain, node) => chains.push({ chain, node }) });
  const steps = new Set<string>();
  const dynamicSteps: ExpressionFault[] = [];
  for (const { chain, node } of chains) {
    if (chain.root !== 'steps') continue;
    const name = chain.keys[0];
    if (typeof name === 'string') steps.add(name);
    else dynamicSteps.push({ message: '`steps` must be followed by the id of a step, as in steps.read.output', start: node.start, end: node.end });
  }
  const only = chains[0];
  return {
    source,
    ast,
    ...(only !== undefined && only.node === ast ? { chain: only.chain } : {}),
    paths: outermostPaths(chains.map(({ chain }) => pathOf(chain))),
    steps: [...steps],
    dynamicSteps,
    check: () => checkWithEngine(engine, source),
    run: (context) => engine(context),
  };
}

function pathOf(chain: AccessChain): string[] {
  const firstIndex = chain.keys.findIndex((key) => typeof key === 'number');
  return [chain.root, ...(firstIndex === -1 ? chain.keys : chain.keys.slice(0, firstIndex)).map(String)];
}

/** Drops paths that another one contains: `input.a` beside `input`. */
export function outermostPaths(paths: string[][]): string[][] {
  const sorted = paths.toSorted((a, b) => a.length - b.length);
  const kept: string[][] = [];
  for (const path of sorted) {
    if (!kept.some((outer) => outer.every((key, index) => path[index] === key))) kept.push(path);
  }
  return kept;
}

function checkWithEngine(engine: Engine, source: string): ExpressionFault | undefined {
  const result = engine.check();
  if (result.valid || result.error === undefined) return undefined;
  const { start, end } = result.error.range ?? { start: 0, end: source.length };
  return { message: lowerFirst(result.error.summary), start, end };
}

export function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/** Evaluates now, in this thread, whatever it costs; `services/expression` decides where an expression runs. Throws `KosError`. */
export function evaluateExpression(expression: Expression, scope: Scope): Json {
  if (expression.chain !== undefined) return followChain(expression, expression.chain, scope);
  let value: unknown;
  try {
    value = expression.run(contextOf(expression.paths, scope));
  } catch (error) {
    throw expressionFailed(expression.source, reasonOf(error), error);
  }
  try {
    return jsonFromCel(value);
  } catch (error) {
    if (error instanceof NotJson) throw expressionResultRefused(expression.source, error.message);
    throw error;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'it makes a value too large for this system';
  const summary = (error as Partial<EvaluationError>).summary;
  return lowerFirst(summary ?? (error instanceof Error ? error.message : String(error)));
}

function followChain(expression: Expression, chain: AccessChain, scope: Scope): Json {
  let value: unknown = scope[chain.root];
  let path: string = chain.root;
  if (value === undefined) throw expressionFailed(expression.source, `${path} is not known here`);
  for (const key of chain.keys) {
    const next: unknown = typeof key === 'number' ? elementOf(value, key) : propertyOf(value, key);
    if (next === undefined) throw expressionFailed(expression.source, missing(path, key, value));
    value = next;
    path = typeof key === 'number' ? `${path}[${key}]` : `${path}.${key}`;
  }
  return value as Json;
}

function elementOf(value: unknown, index: number): unknown {
  return Array.isArray(value) ? value[index] : undefined;
}

function propertyOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function missing(path: string, key: string | number, value: unknown): string {
  if (value === null) return `${path} is null`;
  if (Array.isArray(value)) return typeof key === 'number' ? `${path} has ${value.length} elements, none at ${key}` : `${path} is a list and has no "${key}"`;
  if (typeof value !== 'object') return `${path} is a ${typeof value}`;
  return `${path} has no "${key}"`;
}

/** The part of the scope that the paths read, converted for the engine. What is missing stays missing, so that has(…) can tell. */
function contextOf(paths: string[][], scope: Scope): Record<string, unknown> {
  const context: Record<string, unknown> = {};
  for (const path of paths) placePath(context, scope as unknown as Record<string, unknown>, path, celFromJson);
  return context;
}

/** Copies what stands at `path` from one tree of objects into another, making the objects on the way. */
export function placePath(target: Record<string, unknown>, source: Record<string, unknown>, path: string[], convert: (value: Json) => unknown): void {
  let into = target;
  let from = source;
  for (let index = 0; index < path.length; index += 1) {
    const key = path[index] as string;
    if (!Object.hasOwn(from, key)) return;
    const value = from[key];
    if (value === undefined) return;
    const container = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (index === path.length - 1 || !container) {
      define(into, key, convert(value as Json));
      return;
    }
    if (!Object.hasOwn(into, key)) define(into, key, {});
    into = into[key] as Record<string, unknown>;
    from = value as Record<string, unknown>;
  }
}

function define(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') target[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
