import type { PlanShape } from '#schemas/shape.ts';
import { type ByHand, decidedByHand } from './by-hand.ts';
import { afterUndo, lookAgain, type UndoResult } from './compensation.ts';
import { type ControlReading, withReading } from './control-reading.ts';
import { withHeld } from './control.ts';
import { batchReturned, type ItemsState, itemHeld, itemReturned, openItems, outcomeOfItem, windowReturned } from './items.ts';
import {
  type BatchResult,
  type ItemRange,
  type ItemsJoined,
  type ItemsOpened,
  isOutcome,
  type StepsSkipped,
  type UnitResult,
  type WaitOpened,
} from './outcome.ts';
import { type Ending, endingOfStep, instantOf, type RunState, type StepState, stateOfOutcome } from './state.ts';
import { itemWaits } from './waiting-items.ts';

/** What happened since the last decision. Everything but signals is the answer of an activity that has already recorded it. */
export type RunEvent =
  | { what: 'unit'; unit: number; result: UnitResult }
  | { what: 'item'; step: number; item: number; result: UnitResult }
  /** `to` is the last of them. */
  | { what: 'batch'; step: number; from: number; to: number; result: BatchResult }
  | { what: 'itemsOpened'; step: number; result: ItemsOpened }
  | { what: 'itemsJoined'; step: number; result: ItemsJoined }
  | { what: 'window'; step: number; from: number; failed: boolean }
  | WaitEvent
  /** A decision was taken on this wait; only a reminder to look. */
  | { what: 'decision'; waitId: string }
  | { what: 'skipped'; steps: readonly number[]; result: StepsSkipped }
  | { what: 'cancelled' }
  /** The run's row was looked at. */
  | { what: 'control'; control: ControlReading }
  | { what: 'undone'; result: UndoResult }
  | { what: 'closed' }
  | { what: 'tick' };

/** A wait was opened, or looked at. `item`: of a `forEach` over a step that waits. */
interface WaitEvent {
  what: 'waitOpened' | 'waitSettled';
  step: number;
  item?: number;
  result: WaitOpened;
}

export function applyEvent(rules: number, shape: PlanShape, state: RunState, event: RunEvent, nowMs: number): RunState {
  switch (event.what) {
    case 'unit':
      return afterUnit(shape, state, event.unit, event.result, nowMs);
    case 'item':
      return afterItem(state, event.step, event.item, event.result, nowMs);
    case 'batch':
      return afterBatch(state, event.step, [event.from, event.to], event.result, nowMs);
    case 'itemsOpened':
      return afterItemsOpened(shape, state, event.step, event.result, nowMs);
    case 'itemsJoined':
      return afterItemsJoined(shape, state, event.step, event.result, nowMs);
    case 'window':
      return afterWindow(rules, state, event);
    case 'waitOpened':
    case 'waitSettled':
      if (event.item !== undefined) return afterItemWait(state, event.step, event.item, event, nowMs);
      return afterWait(rules, state, event.step, event.result, nowMs);
    case 'decision':
      return state.earlyDecisions.includes(event.waitId) ? state : { ...state, earlyDecisions: [...state.earlyDecisions, event.waitId] };
    case 'skipped':
      return afterSkips(state, event.steps, event.result, nowMs);
    case 'cancelled':
      return { ...state, ending: 'cancelled' };
    case 'control':
      return withDecidedByHand(shape, lookAgain(withReading(state, event.control)), event.control.byHand ?? []);
    case 'undone':
      return afterUndo(state, event.result, nowMs);
    case 'closed':
      return { ...state, closed: true };
    case 'tick':
      return state;
  }
}

function afterUnit(shape: PlanShape, state: RunState, unit: number, result: UnitResult, nowMs: number): RunState {
  if (result.superseded === true || result.closed === true) return { ...state, closed: true };
  if (result.heldAt !== undefined) return afterUnit(shape, withHeld(state, result.heldAt), unit, { outcomes: result.outcomes }, nowMs);
  const unfinished = (shape.units[unit] ?? []).filter((member) => state.steps[member]?.status !== 'ended');
  const changes = new Map<number, StepState>();
  unfinished.forEach((member, position) => {
    const retryInMs = position === result.outcomes.length ? result.retryInMs : undefined;
    changes.set(member, stateAfter(state.rules, result.outcomes[position], retryInMs, nowMs));
  });
  return withSteps(state, changes);
}

/** A person may have ended one of them, or what it needs, and this workflow not heard of it yet. */
function afterSkips(state: RunState, steps: readonly number[], { superseded, outcomes, because = [] }: StepsSkipped, nowMs: number): RunState {
  if (superseded) return { ...state, closed: true };
  const changes = new Map(steps.map((step, position): [number, StepState] => [step, stateAfter(state.rules, outcomes?.[position] ?? 'k', undefined, nowMs)]));
  for (const { step, outcome } of because) {
    const known = state.steps[step]?.status;
    // One that works, or waits, tells by itself when it ends.
    if (known === 'ended' || known === 'pending' || known === 'retrying') changes.set(step, { status: 'ended', outcome });
  }
  return withSteps(state, changes);
}

/** Ended, to be tried again, or to be started (again). */
function stateAfter(rules: number, letter: string | undefined, retryInMs: number | undefined, nowMs: number): StepState {
  if (letter !== undefined && isOutcome(letter)) return stateOfOutcome(rules, letter);
  return retryInMs === undefined ? { status: 'pending' } : { status: 'retrying', atMs: nowMs + retryInMs };
}

function afterItem(state: RunState, step: number, item: number, result: UnitResult, nowMs: number): RunState {
  if (result.superseded === true) return { ...state, closed: true };
  if (result.heldAt !== undefined) return withItems(withHeld(state, result.heldAt), step, (items) => itemHeld(items, item));
  const letter = result.outcomes[0] ?? '';
  const outcome = outcomeOfItem(state.rules, letter);
  const next = withItems(state, step, (items) => itemReturned(items, item, outcome, instantOf(result.retryInMs ?? null, nowMs)));
  return outcome === 'c' ? withEnding(next, 'cancelled') : next;
}

function afterBatch(before: RunState, step: number, range: ItemRange, result: BatchResult, nowMs: number): RunState {
  if (result.superseded === true) return { ...before, closed: true };
  const state = result.heldAt === undefined ? before : withHeld(before, result.heldAt);
  const next = withItems(state, step, (items) => batchReturned(state.rules, items, range, result, nowMs));
  return result.outcomes.includes('c') ? withEnding(next, 'cancelled') : next;
}

/** While it worked, the others could not say that only waits are left: from rules 3 on that is looked at again. */
function afterWindow(rules: number, state: RunState, { step, from, failed }: Extract<RunEvent, { what: 'window' }>): RunState {
  const next = withItems(state, step, (items) => windowReturned(items, from, failed));
  return rules < 3 ? next : { ...next, knownWaiting: false };
}

function withItems(state: RunState, step: number, change: (items: ItemsState) => ItemsState): RunState {
  const current = state.steps[step];
  if (current?.status !== 'items') return state;
  return withSteps(state, new Map([[step, { status: 'items', items: change(current.items) }]]));
}

function afterItemsOpened(shape: PlanShape, state: RunState, step: number, result: ItemsOpened, nowMs: number): RunState {
  if (result.superseded === true) return { ...state, closed: true };
  if (result.heldAt !== undefined) return afterItemsOpened(shape, withHeld(state, result.heldAt), step, {}, nowMs);
  const { count, outcome, retryInMs } = result;
  if (count === undefined) return withSteps(state, new Map([[step, stateAfter(state.rules, outcome, retryInMs, nowMs)]]));
  return withOpenItems(shape, state, step, count, count === 0 ? [] : [[0, count - 1]]);
}

function afterItemsJoined(shape: PlanShape, state: RunState, step: number, result: ItemsJoined, nowMs: number): RunState {
  if (result.superseded === true || result.closed === true) return { ...state, closed: true };
  const { unfinished, outcomes, retryInMs } = result;
  if (unfinished === undefined) return withSteps(state, new Map([[step, stateAfter(state.rules, outcomes[0], retryInMs, nowMs)]]));
  return withOpenItems(shape, state, step, Math.max(...unfinished.map(([, to]) => to)) + 1, unfinished);
}

function withOpenItems(shape: PlanShape, state: RunState, step: number, count: number, unfinished: readonly ItemRange[]): RunState {
  const concurrency = shape.steps[step]?.forEach?.concurrency ?? 1;
  const contained = shape.steps[step]?.forEach?.contained;
  const items = openItems({ count, unfinished, retrying: [], waiting: [], concurrency, windows: [], failed: false, contained });
  return withSteps(state, new Map([[step, { status: 'items', items }]]));
}

function afterItemWait(state: RunState, step: number, item: number, event: WaitEvent, nowMs: number): RunState {
  const { waitId, outcome, retryInMs, endsInMs, superseded, heldAt } = event.result;
  if (superseded === true) return { ...state, closed: true };
  if (heldAt !== undefined) return withItems(withHeld(state, heldAt), step, (items) => itemHeld(items, item));
  if (waitId === undefined)
    return { ...afterItem(state, step, item, { outcomes: outcome ?? '', ...(retryInMs === undefined ? {} : { retryInMs }) }, nowMs), knownWaiting: false };
  return withItems(state, step, (items) => itemWaits(items, { item, waitId, untilMs: waitEndMs(endsInMs, event.what === 'waitSettled', nowMs) }));
}

/** One that was asked for and is still open is not due by the database's clock: at once, the answer would be the same. */
export const waitEndMs = (endsInMs: number | null | undefined, asked: boolean, nowMs: number): number | null =>
  endsInMs === undefined || endsInMs === null ? null : nowMs + Math.max(asked ? 1 : 0, Math.ceil(endsInMs));

function afterWait(rules: number, before: RunState, step: number, result: WaitOpened, nowMs: number): RunState {
  if (result.superseded === true) return { ...before, closed: true };
  const applied = result.heldAt === undefined ? before : withHeld(before, result.heldAt);
  const state = rules >= 2 ? applied : withoutSettledDecision(applied, step);
  const { waitId, outcome, retryInMs, endsInMs } = result;
  if (waitId === undefined) return { ...withSteps(state, new Map([[step, stateAfter(state.rules, outcome, retryInMs, nowMs)]])), knownWaiting: false };
  const untilMs = waitEndMs(endsInMs, before.steps[step]?.status === 'settling', nowMs);
  return withSteps(state, new Map([[step, { status: 'waiting', waitId, untilMs }]]));
}

/** Rules 1 forget here what arrived while the wait was being looked at; later ones forget a decision when they look, and keep what comes behind. */
function withoutSettledDecision(state: RunState, step: number): RunState {
  const current = state.steps[step];
  if (current?.status !== 'settling') return state;
  return { ...state, earlyDecisions: state.earlyDecisions.filter((waitId) => waitId !== current.waitId) };
}

function withDecidedByHand(shape: PlanShape, state: RunState, decided: readonly ByHand[]): RunState {
  const changes = new Map<number, StepState>();
  for (const byHand of decided) {
    const known = state.steps[byHand.step];
    const next = known === undefined ? null : decidedByHand(known, byHand, shape.steps[byHand.step]?.forEach?.concurrency ?? 1);
    if (next !== null) changes.set(byHand.step, next);
  }
  return changes.size === 0 ? state : withSteps(state, changes);
}

function withSteps(state: RunState, changes: ReadonlyMap<number, StepState>): RunState {
  const steps = state.steps.map((step, index) => changes.get(index) ?? step);
  const endings = [...changes.values()].map(endingOfStep);
  const next = { ...state, steps };
  if (endings.includes('cancelled')) return withEnding(next, 'cancelled');
  return endings.includes('failed') ? withEnding(next, 'failed') : next;
}

/** The first reason stays. */
const withEnding = (state: RunState, ending: Ending): RunState => ({ ...state, ending: state.ending ?? ending });
