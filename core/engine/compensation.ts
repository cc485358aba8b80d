import type { PlanShape } from '#schemas/shape.ts';
import { withHeld } from './control.ts';
import type { Ending, RunState } from './state.ts';
import type { Undoing } from './undoing.ts';

/** What the activity that undoes answers. Everything that it did is on record. */
export type UndoResult =
  /** Nothing is left to be undone, or can be. */
  | { done: true }
  | { retryInMs: number }
  /** A person is to say what came of an effect, or a run that a step has started is to end: either is told. */
  | { waits: true }
  /** The run is paused, as of this version of its control. */
  | { heldAt: number }
  | { superseded: true };

export const canUndo = ({ steps }: PlanShape): boolean => steps.some(({ undo }) => undo !== undefined);

/** Bound of one attempt at any undo of the plan. */
export const longestUndoMs = ({ steps }: PlanShape): number => steps.reduce((most, { undo }) => Math.max(most, undo?.timeoutMs ?? 0), 0);

/**
 * What a run that is over does about its effects: begin (or go on) undoing them, wait until it can, or (`close`) end. While a generation drains, only the
 * begin is not held back: from then on the run's row says that it ends.
 */
export function nextUndo(shape: PlanShape, { undoing, control }: RunState, ending: Ending | null, hold: boolean, nowMs: number): 'undo' | 'rest' | 'close' {
  if (ending === null || !canUndo(shape) || undoing?.status === 'done') return 'close';
  if (control.paused) return 'rest';
  if (undoing === undefined) return 'undo';
  return !hold && isDue(undoing, nowMs) ? 'undo' : 'rest';
}

const isDue = (undoing: Undoing, nowMs: number): boolean =>
  undoing.status === 'due' || (undoing.status === 'resting' && undoing.atMs !== null && undoing.atMs <= nowMs);

export const undoWakesAtMs = (undoing: Undoing | undefined): number[] => (undoing?.status === 'resting' && undoing.atMs !== null ? [undoing.atMs] : []);

export function afterUndo(state: RunState, result: UndoResult, nowMs: number): RunState {
  if ('superseded' in result) return { ...state, closed: true };
  if ('done' in result) return { ...state, undoing: { status: 'done' } };
  if ('heldAt' in result) return { ...withHeld(state, result.heldAt), undoing: { status: 'due' } };
  if (state.undoing?.status === 'working' && state.undoing.again === true) return { ...state, undoing: { status: 'due' } };
  return { ...state, undoing: { status: 'resting', atMs: 'waits' in result ? null : nowMs + Math.max(0, Math.ceil(result.retryInMs)) } };
}

/** Something was decided of the run: whoever rests looks again. */
export function lookAgain(state: RunState): RunState {
  const { undoing } = state;
  if (undoing?.status === 'working') return { ...state, undoing: { status: 'working', again: true } };
  return undoing?.status === 'resting' ? { ...state, undoing: { status: 'due' } } : state;
}

/** Steps that have an undo, in an order in which they could have run. */
export function undoableSteps({ steps }: PlanShape): number[] {
  const order: number[] = [];
  const visited = new Set<number>();
  // By hand instead of by recursion: a chain may be 2,000 steps long.
  for (const first of steps.keys()) {
    const stack = [first];
    for (let step = stack.at(-1); step !== undefined; step = stack.at(-1)) {
      const open = visited.has(step) ? [] : (steps[step]?.needs ?? []).filter((need) => !visited.has(need));
      if (open.length > 0) {
        stack.push(...open);
        continue;
      }
      stack.pop();
      if (visited.has(step)) continue;
      visited.add(step);
      if (steps[step]?.undo !== undefined) order.push(step);
    }
  }
  return order;
}
