import { openItems } from './items.ts';
import type { ItemRange, Outcome } from './outcome.ts';
import type { StepState } from './state.ts';

/** A step that a person decided on, as its row is now. */
export interface ByHand {
  step: number;
  /** Null: it has not ended, and is to be tried again. */
  outcome: Outcome | null;
  /** Of a `forEach` that goes on: how many items it has, and which have not ended. */
  items: { count: number; unfinished: readonly ItemRange[] } | null;
}

/**
 * What a person's decision makes of a step; null: nothing. One that works, or waits for something else, tells by itself when it ends. What was read may be
 * older than what is known: a step that is tried again for that looks at its row first, and answers with what stands there.
 */
export function decidedByHand(known: StepState, { outcome, items }: ByHand, concurrency: number): StepState | null {
  const reachable = known.status === 'pending' || known.status === 'retrying' || known.status === 'uncertain';
  if (!reachable || outcome === 'u') return null;
  if (outcome !== null) return { status: 'ended', outcome };
  if (known.status !== 'uncertain') return null;
  if (items === null) return { status: 'pending' };
  return { status: 'items', items: openItems({ ...items, retrying: [], waiting: [], concurrency, windows: [], failed: false }) };
}
