import type { PlanShape } from '#schemas/shape.ts';
import { itemReturned, openItems, windowReturned } from './items.ts';
import { type ItemsJoined, type ItemsOpened, isOutcome, type Outcome, stopsTheRun, type UnitResult, type WaitOpened } from './outcome.ts';
import type { RunState, StepState } from './state.ts';

/** What happened since the last decision. Everything but signals is the answer of an activity that has already recorded it. */
export type RunEvent =
  | { what: 'unit'; unit: number; result: UnitResult }
  | { what: 'item'; step: number; item: number; result: UnitResult }
  | { what: 'itemsOpened'; step: number; result: ItemsOpened }
  | { what: 'itemsJoined'; step: number; result: ItemsJoined }
  | { what: 'window'; step: number; from: number; failed: boolean }
  | { what: 'waitOpened'; step: number; result: WaitOpened }
  | { what: 'waitSettled'; step: number; result: WaitOpened }
  /** A decision was taken on this wait; only a reminder to look. */
  | { what: 'decision'; waitId: string }
  | { what: 'skipped'; steps: readonly number[]; superseded: boolean }
  | { what: 'cancelled' }
  | { what: 'closed' }
  | { what: 'tick' };

export function applyEvent(shape: PlanShape, state: RunState, event: RunEvent): RunState {
  switch (event.what) {
    case 'unit':
      return afterUnit(shape, state, event.unit, event.result);
    case 'item':
      return afterItem(state, event.step, event.item, event.result);
    case 'itemsOpened':
      return afterItemsOpened(shape, state, event.step, event.result);
    case 'itemsJoined':
      return afterItemsJoined(shape, state, event.step, event.result);
    case 'window':
      return withItems(state, event.step, (items) => windowReturned(items, event.from, event.failed), event.failed);
    case 'waitOpened':
    case 'waitSettled':
      return afterWait(state, event.step, event.result);
    case 'decision':
      return state.earlyDecisions.includes(event.waitId) ? state : { ...state, earlyDecisions: [...state.earlyDecisions, event.waitId] };
    case 'skipped':
      return event.superseded ? { ...state, closed: true } : withSteps(state, new Map(event.steps.map((step) => [step, { status: 'ended', outcome: 'k' }])));
    case 'cancelled':
      return { ...state, ending: 'cancelled' };
    case 'closed':
      return { ...state, closed: true };
    case 'tick':
      return state;
  }
}

function afterUnit(shape: PlanShape, state: RunState, unit: number, result: UnitResult): RunState {
  if (result.superseded === true || result.closed === true) return { ...state, closed: true };
  const unfinished = (shape.units[unit] ?? []).filter((member) => state.steps[member]?.status !== 'ended');
  const changes = new Map<number, StepState>();
  unfinished.forEach((member, position) => {
    const letter = result.outcomes[position];
    if (letter !== undefined && isOutcome(letter)) changes.set(member, { status: 'ended', outcome: letter });
    else if (position === result.outcomes.length && result.retryAtMs !== undefined) changes.set(member, { status: 'retrying', atMs: result.retryAtMs });
    else changes.set(member, { status: 'pending' });
  });
  return withSteps(state, changes);
}

function afterItem(state: RunState, step: number, item: number, result: UnitResult): RunState {
  if (result.superseded === true) return { ...state, closed: true };
  const letter = result.outcomes[0] ?? '';
  const outcome = isOutcome(letter) ? letter : null;
  return withItems(state, step, (items) => itemReturned(items, item, outcome, result.retryAtMs ?? null), outcome !== null && stopsTheRun(outcome));
}

function withItems(state: RunState, step: number, change: (items: Extract<StepState, { status: 'items' }>['items']) => Extract<StepState, { status: 'items' }>['items'], failed: boolean): RunState {
  const current = state.steps[step];
  if (current?.status !== 'items') return state;
  const next = withSteps(state, new Map([[step, { status: 'items', items: change(current.items) }]]));
  return failed && next.ending === null ? { ...next, ending: 'failed' } : next;
}

function afterItemsOpened(shape: PlanShape, state: RunState, step: number, result: ItemsOpened): RunState {
  if (result.superseded === true) return { ...state, closed: true };
  if (result.count === undefined) return ended(state, step, result.outcome, result.retryAtMs);
  const unfinished: [number, number][] = result.count === 0 ? [] : [[0, result.count - 1]];
  const concurrency = shape.steps[step]?.forEach?.concurrency ?? 1;
  const items = openItems({ count: result.count, unfinished, retrying: [], concurrency, windows: [], failed: false });
  return withSteps(state, new Map([[step, { status: 'items', items }]]));
}

function afterItemsJoined(shape: PlanShape, state: RunState, step: number, result: ItemsJoined): RunState {
  if (result.superseded === true || result.closed === true) return { ...state, closed: true };
  if (result.unfinished === undefined) return ended(state, step, result.outcomes[0], result.retryAtMs);
  const concurrency = shape.steps[step]?.forEach?.concurrency ?? 1;
  const count = Math.max(...result.unfinished.map(([, to]) => to)) + 1;
  const items = openItems({ count, unfinished: result.unfinished, retrying: [], concurrency, windows: [], failed: false });
  return withSteps(state, new Map([[step, { status: 'items', items }]]));
}

function afterWait(before: RunState, step: number, result: WaitOpened): RunState {
  if (result.superseded === true) return { ...before, closed: true };
  const state = withoutSettledDecision(before, step);
  if (result.waitId === undefined) return ended(state, step, result.outcome, result.retryAtMs);
  return withSteps(state, new Map([[step, { status: 'waiting', waitId: result.waitId, untilMs: result.untilMs ?? null }]]));
}

/** A decision was looked up and is dealt with; one that was found open after all was stale or forged, and is forgotten, or it would be asked for ever. */
function withoutSettledDecision(state: RunState, step: number): RunState {
  const current = state.steps[step];
  if (current?.status !== 'settling') return state;
  return { ...state, earlyDecisions: state.earlyDecisions.filter((waitId) => waitId !== current.waitId) };
}

function ended(state: RunState, step: number, letter: string | undefined, retryAtMs: number | undefined): RunState {
  if (letter !== undefined && isOutcome(letter)) return withSteps(state, new Map([[step, { status: 'ended', outcome: letter satisfies Outcome }]]));
  return withSteps(state, new Map([[step, retryAtMs === undefined ? { status: 'pending' } : { status: 'retrying', atMs: retryAtMs }]]));
}

function withSteps(state: RunState, changes: ReadonlyMap<number, StepState>): RunState {
  const steps = state.steps.map((step, index) => changes.get(index) ?? step);
  const failed = [...changes.values()].some((step) => step.status === 'ended' && stopsTheRun(step.outcome));
  return { ...state, steps, ending: state.ending ?? (failed ? 'failed' : null) };
}
