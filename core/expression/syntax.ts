import type { ASTNode } from '@marcbachmann/cel-js';
import { isRootName, type RootName } from './scope.ts';

/** `steps.read.output.clusters[0]`: a root and the literal keys that follow it. */
export interface AccessChain {
  root: RootName;
  keys: (string | number)[];
}

/** Macros that run an argument once for each element: the first argument names the element. */
const loopMacros = new Set(['map', 'filter', 'all', 'exists', 'exists_one']);

export interface Loop {
  variable: string;
  receiver: ASTNode;
  /** Evaluated for each element. */
  body: ASTNode[];
}

export function loopOf(node: ASTNode): Loop | undefined {
  if (node.op !== 'rcall') return undefined;
  const [name, receiver, parameters] = node.args;
  const [variable, ...body] = parameters;
  if (!loopMacros.has(name) || variable?.op !== 'id' || body.length === 0) return undefined;
  return { variable: variable.args, receiver, body };
}

export interface Binding {
  variable: string;
  value: ASTNode;
  body: ASTNode;
}

/** `cel.bind(name, value, body)`. */
export function bindingOf(node: ASTNode): Binding | undefined {
  if (node.op !== 'rcall' || node.args[0] !== 'bind') return undefined;
  const [, receiver, [variable, value, body]] = node.args;
  if (receiver.op !== 'id' || receiver.args !== 'cel' || variable?.op !== 'id' || value === undefined || body === undefined) return undefined;
  return { variable: variable.args, value, body };
}

export function childrenOf(node: ASTNode): ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return [];
    case '.':
    case '.?':
      return [node.args[0]];
    case 'call':
      return node.args[1];
    case 'rcall':
      return [node.args[1], ...node.args[2]];
    case 'map':
      return node.args.flat();
    case '!_':
    case '-_':
      return [node.args];
    default:
      return node.args;
  }
}

function literalKey(node: ASTNode): string | number | undefined {
  if (node.op !== 'value') return undefined;
  if (typeof node.args === 'string') return node.args;
  return typeof node.args === 'bigint' ? Number(node.args) : undefined;
}

/** The node as a chain of literal keys from a root; undefined when it is anything else, or when a loop's variable hides the root. */
export function chainOf(node: ASTNode, bound: ReadonlySet<string>): AccessChain | undefined {
  const keys: (string | number)[] = [];
  let current = node;
  for (;;) {
    if (current.op === 'id') {
      const root = current.args;
      return isRootName(root) && !bound.has(root) ? { root, keys: keys.toReversed() } : undefined;
    }
    if (current.op !== '.' && current.op !== '[]') return undefined;
    const key = current.op === '.' ? current.args[1] : literalKey(current.args[1]);
    if (key === undefined) return undefined;
    keys.push(key);
    current = current.args[0];
  }
}

/** Calls `visit` for every chain and every other node, outermost first; parts of a chain are not visited again. */
export function visitChains(
  node: ASTNode,
  visit: { chain(chain: AccessChain, node: ASTNode): void; node?(node: ASTNode): void },
  bound: ReadonlySet<string> = new Set(),
): void {
  const chain = chainOf(node, bound);
  if (chain !== undefined) {
    visit.chain(chain, node);
    return;
  }
  visit.node?.(node);
  const loop = loopOf(node);
  const binding = bindingOf(node);
  if (loop !== undefined) {
    visitChains(loop.receiver, visit, bound);
    const inner = new Set(bound).add(loop.variable);
    for (const part of loop.body) visitChains(part, visit, inner);
  } else if (binding !== undefined) {
    visitChains(binding.value, visit, bound);
    visitChains(binding.body, visit, new Set(bound).add(binding.variable));
  } else {
    for (const child of childrenOf(node)) visitChains(child, visit, bound);
  }
}
