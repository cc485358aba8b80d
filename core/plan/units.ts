import type { StepKind } from '#schemas/shape.ts';
import { dependantsOf } from './graph.ts';
import type { PlanGraph } from './plan-graph.ts';

/** Steps of one chain at most: what one activity may take on before it reports. */
const longestChain = 200;

export interface FusableStep {
  kind: StepKind;
  /** What it may share an activity with: see `fusionOf`. */
  fusable: boolean;
}

export type Fuse = 'none' | 'pure' | 'effects';

/** A longer attempt would keep its chain's worker for itself, and the chain's next steps from being seen: it has an activity of its own, ms. */
export const longestFusedMs = 60_000;

/** What decides whether a step may be a member of a chain. */
export interface FusionCandidate {
  kind: StepKind;
  /** Of its tool; null: it has none, or one that is not installed. */
  toolEffect: 'pure' | 'idempotent' | 'effectful' | null;
  /** It is worked on item by item. */
  items: boolean;
  /** It is worked on in rounds. */
  rounds: boolean;
  timeoutMs: number;
}

/** `pure`: what changes nothing outside. `effects`: also what may be asked again under its key, when it is short. */
export function fusionOf(fuse: Fuse, { kind, toolEffect, items, rounds, timeoutMs }: FusionCandidate): boolean {
  if (items || rounds || fuse === 'none') return false;
  if (kind === 'transform' || toolEffect === 'pure') return true;
  if (fuse !== 'effects' || timeoutMs > longestFusedMs) return false;
  return kind === 'llm' || kind === 'artifact' || toolEffect === 'idempotent';
}

/** Whether a step's work may be waited for in the workflow's own task. `none` gives each step an activity that Temporal shows. */
export function isQuick(fuse: Fuse, { kind, toolEffect, items, rounds }: FusionCandidate, toolIsQuick: boolean): boolean {
  if (items || rounds || fuse === 'none') return false;
  if (kind === 'transform') return true;
  return toolIsQuick && (toolEffect === 'pure' || (fuse === 'effects' && toolEffect === 'idempotent'));
}

/**
 * Whether items may be done one after another in the workflow's own task. Only what changes nothing outside: of effects the plan's author has said how many are
 * to be made at once.
 */
export const hasQuickItems = (fuse: Fuse, { kind, toolEffect, items, rounds }: FusionCandidate, toolIsQuick: boolean): boolean =>
  items && !rounds && fuse !== 'none' && (kind === 'transform' || (toolIsQuick && toolEffect === 'pure'));

/**
 * Partition of the steps into units. A chain grows by a fusable step that needs nothing outside the chain, as long as nobody else has to wait
 * longer for it: whoever needs a step of the chain must be in it or need the new step, too.
 */
export function divideIntoUnits(steps: FusableStep[], graph: PlanGraph, order: number[]): number[][] {
  const dependants = dependantsOf(graph);
  const taken = new Set<number>();
  const units: number[][] = [];
  for (const first of order) {
    if (taken.has(first)) continue;
    const unit = growChain(first, steps, graph, dependants);
    for (const number of unit) taken.add(number);
    units.push(unit);
  }
  return units;
}

function growChain(first: number, steps: FusableStep[], graph: PlanGraph, dependants: number[][]): number[] {
  const chain = [first];
  if (!canJoin(first, steps, graph)) return chain;
  const members = new Set(chain);
  /** Who waits for a step of the chain and is not in it. */
  const outside = new Set(dependants[first]);
  while (chain.length < longestChain) {
    const next = [...outside].find((candidate) => {
      if (!canJoin(candidate, steps, graph)) return false;
      if (!isSubset(graph.needs[candidate], members)) return false;
      for (const other of outside) if (other !== candidate && !graph.needs[other]?.has(candidate)) return false;
      return true;
    });
    if (next === undefined) break;
    chain.push(next);
    members.add(next);
    outside.delete(next);
    for (const dependant of dependants[next] ?? []) outside.add(dependant);
  }
  return chain;
}

/** A gated step works on what was approved, in an activity of its own. */
function canJoin(number: number, steps: FusableStep[], graph: PlanGraph): boolean {
  return steps[number]?.fusable === true && graph.gates[number] === undefined;
}

function isSubset(needs: Set<number> | undefined, members: Set<number>): boolean {
  for (const need of needs ?? []) if (!members.has(need)) return false;
  return true;
}
