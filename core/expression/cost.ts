import type { ASTNode } from '@marcbachmann/cel-js';
import type { Json } from '#schemas/json.ts';
import { type Expression, placePath } from './expression.ts';
import type { Scope } from './scope.ts';
import { type AccessChain, bindingOf, chainOf, childrenOf, loopOf } from './syntax.ts';
import type { Template } from './template.ts';

/**
 * Work that may be done at once, in the caller's thread; more goes to the evaluator's own process. One unit is about 0.1 µs (one step of the engine,
 * or one value that is converted), so this is about 5 ms at most.
 */
const inlineWork = 50_000;
/** Characters that weigh as much as one value. */
const charactersPerUnit = 32;

/** Whether a template is surely cheap with these data. A few look-ups in most cases; looks at no more than `inlineWork` values. */
export function isCheap(template: Template, scope: Scope): boolean {
  if (template.simple) return true;
  let work = 0;
  for (const { expression, inText } of template.expressions) {
    if (expression.chain === undefined) work += estimateWork(expression, scope);
    else if (inText) work += weigh(valueAt(scope, [expression.chain.root, ...expression.chain.keys]), inlineWork);
    if (work > inlineWork) return false;
  }
  return true;
}

/** Upper bound of the work, in units; Infinity where there is none. */
export function estimateWork(expression: Expression, scope: Scope): number {
  let conversion = 0;
  for (const path of expression.paths) {
    conversion += weigh(valueAt(scope, path), inlineWork);
    if (conversion > inlineWork) return conversion;
  }
  return conversion + estimate(expression.ast, { scope, variables: new Map() }).work;
}

/** Bounds of one node: the work to evaluate it, the weight of its value and of its heaviest element, and the number of its elements. */
interface Estimate {
  work: number;
  weight: number;
  element: number;
  count: number;
}

interface Context {
  scope: Scope;
  /** Names bound by loops. */
  variables: ReadonlyMap<string, Estimate>;
}

const scalar: Estimate = { work: 1, weight: 1, element: 1, count: 1 };
const unbounded: Estimate = {
  work: Number.POSITIVE_INFINITY,
  weight: Number.POSITIVE_INFINITY,
  element: Number.POSITIVE_INFINITY,
  count: Number.POSITIVE_INFINITY,
};

function estimate(node: ASTNode, context: Context): Estimate {
  const chain = chainOf(node, new Set(context.variables.keys()));
  if (chain !== undefined) return estimateChain(chain, context.scope);
  const loop = loopOf(node);
  if (loop !== undefined) return estimateLoop(node, loop, context);
  const binding = bindingOf(node);
  if (binding !== undefined) {
    const value = estimate(binding.value, context);
    const body = estimate(binding.body, { ...context, variables: new Map(context.variables).set(binding.variable, { ...value, work: 1 }) });
    return { ...body, work: value.work + body.work };
  }
  switch (node.op) {
    case 'value':
      return typeof node.args === 'string' ? weightOnly(1 + node.args.length / charactersPerUnit) : scalar;
    case 'id':
      return context.variables.get(node.args) ?? scalar;
    case '.':
    case '.?': {
      const object = estimate(node.args[0], context);
      return { ...object, element: object.weight, work: object.work + 1 };
    }
    case '[]':
    case '[?]': {
      const container = estimate(node.args[0], context);
      return { ...weightOnly(container.element), work: container.work + estimate(node.args[1], context).work + 1 };
    }
    case 'call':
      return estimateCall(node.args[0], node.args[1], context);
    case 'rcall':
      return node.args[0] === 'matches' ? unbounded : estimateCall(node.args[0], [node.args[1], ...node.args[2]], context);
    case '+': {
      const sum = sumOf(node.args, context);
      // Joining texts copies nothing.
      return isText(node) ? { ...sum, work: sum.work - sum.weight } : sum;
    }
    default:
      return sumOf(childrenOf(node), context);
  }
}

/** Surely text, if it is anything: then so is every sum it is part of. */
function isText(node: ASTNode): boolean {
  if (node.op === 'value') return typeof node.args === 'string';
  if (node.op === 'call') return ['string', 'join', 'toJson'].includes(node.args[0]);
  return node.op === '+' && node.args.some(isText);
}

function weightOnly(weight: number): Estimate {
  return { work: 1, weight, element: weight, count: weight };
}

function estimateChain(chain: AccessChain, scope: Scope): Estimate {
  const value = valueAt(scope, [chain.root, ...chain.keys]);
  if (typeof value !== 'object' || value === null) return weightOnly(weigh(value, inlineWork));
  const elements = Array.isArray(value) ? value : Object.values(value);
  let weight = 1;
  let heaviest = 1;
  for (const element of elements) {
    const own = weigh(element, inlineWork - weight);
    heaviest = Math.max(heaviest, own);
    weight += own;
    if (weight > inlineWork) return { ...unbounded, work: 1 };
  }
  return { work: 1, weight, element: heaviest, count: elements.length };
}

function sumOf(nodes: ASTNode[], context: Context): Estimate {
  let work = 1;
  let weight = 1;
  for (const node of nodes) {
    const part = estimate(node, context);
    work += part.work;
    weight += part.weight;
  }
  // Comparing, concatenating and copying look at every part once.
  return { work: work + weight, weight, element: weight, count: weight };
}

function estimateCall(name: string, parameters: ASTNode[], context: Context): Estimate {
  if (name === 'range') {
    const bounds = parameters.map((parameter) => numberOf(parameter, context));
    const [first = 0, second = 0] = bounds;
    const length = bounds.length === 1 ? first : Math.abs(second - first);
    return { work: 1 + length, weight: 1 + length, element: 1, count: length };
  }
  const whole = sumOf(parameters, context);
  if (name === 'size') return { ...scalar, work: whole.work };
  // Cutting a text can make an element of every character; sorting looks at every element a few times.
  if (name === 'split') return estimateSplit(parameters, whole);
  return { ...whole, work: whole.work * (name.startsWith('sort') ? 8 : 2) };
}

function numberOf(node: ASTNode, context: Context): number {
  if (node.op === 'value' && typeof node.args === 'bigint') return Number(node.args);
  const sized = sizeArgument(node);
  if (sized !== undefined) return estimate(sized, context).count;
  const chain = chainOf(node, new Set(context.variables.keys()));
  const value = chain === undefined ? undefined : valueAt(context.scope, [chain.root, ...chain.keys]);
  return typeof value === 'number' ? value : Number.POSITIVE_INFINITY;
}

/** Pieces of a text that weighs one unit, for a separator that is written out; where it may be empty, every character is a piece. */
const usualPieces = 4;

function estimateSplit([, separator]: ASTNode[], { work, weight }: Estimate): Estimate {
  const written = separator?.op === 'value' && typeof separator.args === 'string' && separator.args !== '';
  const factor = written ? usualPieces : charactersPerUnit;
  return { work: work * factor, weight: weight * factor, element: weight, count: weight * factor };
}

/** `x` of size(x) or x.size(). */
function sizeArgument(node: ASTNode): ASTNode | undefined {
  if (node.op === 'call' && node.args[0] === 'size') return node.args[1][0];
  return node.op === 'rcall' && node.args[0] === 'size' ? node.args[1] : undefined;
}

function estimateLoop(node: ASTNode, loop: NonNullable<ReturnType<typeof loopOf>>, context: Context): Estimate {
  const receiver = estimate(loop.receiver, context);
  const variables = new Map(context.variables).set(loop.variable, { work: 1, weight: receiver.element, element: receiver.element, count: receiver.element });
  const parts = loop.body.map((part) => estimate(part, { ...context, variables }));
  const perElement = parts.reduce((work, part) => work + part.work, 1);
  const work = receiver.work + receiver.count * perElement;
  const name = node.op === 'rcall' ? node.args[0] : '';
  if (name === 'filter') return { ...receiver, work };
  if (name !== 'map') return { ...scalar, work };
  // Parts of the elements weigh no more than the elements together.
  const last = loop.body.at(-1);
  const element = parts.at(-1)?.weight ?? 1;
  const weight = last !== undefined && isPartOf(last, loop.variable) ? receiver.weight : receiver.count * element;
  return { work, weight, element, count: receiver.count };
}

function isPartOf(node: ASTNode, variable: string): boolean {
  let current = node;
  while (current.op === '.' || current.op === '[]') current = current.args[0];
  return current.op === 'id' && current.args === variable;
}

function valueAt(scope: Scope, path: (string | number)[]): Json | undefined {
  let value: unknown = scope;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value as Json | undefined;
}

/** Number of values in a value, texts by their length; stops counting at `limit`. */
export function weigh(value: Json | undefined, limit: number): number {
  if (typeof value === 'string') return 1 + value.length / charactersPerUnit;
  if (typeof value !== 'object' || value === null) return 1;
  let weight = 1;
  if (Array.isArray(value)) {
    for (const element of value) {
      weight += weigh(element, limit - weight);
      if (weight > limit) break;
    }
    return weight;
  }
  for (const key of Object.keys(value)) {
    weight += weigh(value[key], limit - weight);
    if (weight > limit) break;
  }
  return weight;
}

/** The part of a scope that a template reads: all the evaluator's process has to be sent. */
export function readPart(template: Template, scope: Scope): Scope {
  const part: Record<string, unknown> = {};
  for (const path of template.paths) placePath(part, scope as unknown as Record<string, unknown>, path, (value) => value);
  return { input: null, steps: {}, run: { id: '', startedAt: '' }, ...part };
}
