import { waitEndMs } from './apply-event.ts';
import { type Control, heldControl, newerControl, noControl } from './control.ts';
import {
  batchReturned,
  itemsAtWork,
  type ItemsState,
  itemHeld,
  itemReturned,
  itemsSettled,
  itemsWakeAtMs,
  outcomeOfItem,
  takeNext,
  type WaitingItem,
} from './items.ts';
import type { BatchResult, ItemRange, UnitResult, WaitOpened } from './outcome.ts';
import { instantOf } from './state.ts';
import { itemWaits, takeDueItems } from './waiting-items.ts';

/** A window of a large `forEach`: a workflow over a range of items of its run's step. */
export interface WindowState {
  items: ItemsState;
  /** The run ends: nothing new starts. */
  stopped: boolean;
  /** The run's claim passed on: nothing more may be done here. */
  superseded: boolean;
  control: Control;
  /** Items in flight at once; of a step that waits it is less than what may wait at once. */
  maxInFlight: number;
  /** Decisions that arrived before the wait they settle was known here. */
  earlyDecisions: readonly string[];
  /** The run was told that only waits are left here. */
  knownWaiting: boolean;
  rules: number;
  /** Its items are done in batches. */
  quick: boolean;
}

export type WindowEvent =
  | { what: 'item'; item: number; result: UnitResult }
  /** `to` is the last of them. */
  | { what: 'batch'; from: number; to: number; result: BatchResult }
  | WindowWaitEvent
  | { what: 'decision'; waitId: string }
  | { what: 'stop' }
  | { what: 'control'; control: Control }
  | { what: 'tick' };

/** What Postgres holds of a window's items. What is left of a time is a duration by the database's clock (ms). */
export interface StoredWindow {
  unfinished: ItemRange[];
  retrying: { item: number; inMs: number }[];
  /** Open waits; absent where a release before this one answered. */
  waiting?: { item: number; waitId: string; endsInMs: number | null }[];
  failed: boolean;
  superseded: boolean;
}

export interface WindowBounds {
  from: number;
  to: number;
  concurrency: number;
  /** Only where items wait: what may wait at once is more than what may be in flight. */
  maxInFlight?: number | undefined;
  quick?: boolean | undefined;
}

export function restoreWindow(stored: StoredWindow, bounds: WindowBounds, nowMs: number, rules = 1): WindowState {
  const waiting = (stored.waiting ?? []).map(({ item, waitId, endsInMs }) => ({ item, waitId, untilMs: instantOf(endsInMs, nowMs) }));
  return {
    items: {
      count: bounds.to - bounds.from + 1,
      concurrency: bounds.concurrency,
      unstarted: stored.unfinished,
      inFlight: [],
      retrying: stored.retrying.map(({ item, inMs }) => ({ item, atMs: nowMs + inMs })),
      waiting,
      windows: null,
      failed: stored.failed,
    },
    stopped: stored.superseded,
    superseded: stored.superseded,
    control: noControl,
    rules,
    quick: bounds.quick === true,
    maxInFlight: bounds.maxInFlight ?? bounds.concurrency,
    earlyDecisions: [],
    knownWaiting: false,
  };
}

interface WindowWaitEvent {
  what: 'waitOpened' | 'waitSettled';
  item: number;
  result: WaitOpened;
}

export interface WindowDecision {
  state: WindowState;
  /** Items to start now: to work on, or to open the wait of. */
  start: number[];
  /** Quick items to be done in one go. */
  batch: ItemRange | null;
  /** Items whose wait is to be looked at now. */
  settle: readonly WaitingItem[];
  /** Only waits are left, and nobody has said so. */
  markWaiting: boolean;
  wakeAtMs: number | null;
  /** Nothing runs and nothing more will start. */
  over: boolean;
}

const commandsAtMost = 50;

export function decideWindow(before: WindowState, events: readonly WindowEvent[], nowMs: number, hold: boolean): WindowDecision {
  const state = events.reduce((state, event) => applyWindowEvent(state, event, nowMs), before);
  const ending = state.stopped || state.superseded;
  const settled = takeDueItems(state.items, (waitId) => state.earlyDecisions.includes(waitId), ending ? 0 : commandsAtMost, nowMs);
  const room = Math.min(commandsAtMost - settled.due.length, state.maxInFlight - itemsAtWork(settled.state));
  const mayStart = !ending && !hold && !state.control.paused;
  const taken = mayStart ? takeNext(settled.state, state.quick, room, nowMs) : { state: settled.state, items: [], batch: null };
  const over = itemsSettled(taken.state, ending);
  const onlyWaits = !over && !state.control.paused && itemsAtWork(taken.state) === 0 && taken.state.waiting.length > 0;
  const looked = settled.due.map(({ waitId }) => waitId);
  const next = {
    ...state,
    items: taken.state,
    earlyDecisions: state.earlyDecisions.filter((waitId) => !looked.includes(waitId)),
    knownWaiting: onlyWaits,
  };
  // What this decision had no room for is begun by the next one at once.
  const isFull = state.rules >= 3 && taken.items.length + settled.due.length >= commandsAtMost;
  const wakeAtMs = ending ? null : isFull ? nowMs + 1 : itemsWakeAtMs(taken.state, nowMs);
  return { state: next, start: taken.items, batch: taken.batch, settle: settled.due, markWaiting: onlyWaits && !state.knownWaiting, wakeAtMs, over };
}

function applyWindowEvent(state: WindowState, event: WindowEvent, nowMs: number): WindowState {
  switch (event.what) {
    case 'stop':
      return { ...state, stopped: true };
    case 'control': {
      const control = newerControl(state.control, event.control);
      // A pause and its end have changed the run's row: it is to be told again that only waits are left.
      return { ...state, control, knownWaiting: control === state.control && state.knownWaiting };
    }
    case 'tick':
      return state;
    case 'decision':
      return state.earlyDecisions.includes(event.waitId) ? state : { ...state, earlyDecisions: [...state.earlyDecisions, event.waitId] };
    case 'item':
      return afterItem(state, event.item, event.result, nowMs);
    case 'batch':
      return afterBatch(state, event, nowMs);
    case 'waitOpened':
    case 'waitSettled':
      return afterWait(state, event, nowMs);
  }
}

function afterItem(state: WindowState, item: number, result: UnitResult, nowMs: number): WindowState {
  if (result.heldAt !== undefined) return held(state, item, result.heldAt);
  const letter = result.outcomes[0] ?? '';
  const items = itemReturned(state.items, item, outcomeOfItem(state.rules, letter), instantOf(result.retryInMs ?? null, nowMs));
  // A cancelled item tells of a cancel whose Signal has not arrived yet.
  return { ...state, items, stopped: state.stopped || letter === 'c', superseded: state.superseded || result.superseded === true };
}

function afterBatch(before: WindowState, { from, to, result }: Extract<WindowEvent, { what: 'batch' }>, nowMs: number): WindowState {
  const state = result.heldAt === undefined ? before : { ...before, control: heldControl(before.control, result.heldAt) };
  const items = batchReturned(state.rules, state.items, [from, to], result, nowMs);
  return { ...state, items, stopped: state.stopped || result.outcomes.includes('c'), superseded: state.superseded || result.superseded === true };
}

/** The run is paused, which its Signal has not told yet. */
const held = (state: WindowState, item: number, version: number): WindowState => ({
  ...state,
  control: heldControl(state.control, version),
  items: itemHeld(state.items, item),
});

function afterWait(state: WindowState, event: WindowWaitEvent, nowMs: number): WindowState {
  const { item, what } = event;
  const { waitId, outcome, retryInMs, endsInMs, superseded, heldAt } = event.result;
  if (heldAt !== undefined) return held(state, item, heldAt);
  if (waitId === undefined) {
    const again = retryInMs === undefined ? {} : { retryInMs };
    return { ...afterItem(state, item, { outcomes: outcome ?? '', ...again, ...(superseded === true ? { superseded } : {}) }, nowMs), knownWaiting: false };
  }
  const waiting = { item, waitId, untilMs: waitEndMs(endsInMs, what === 'waitSettled', nowMs) };
  return { ...state, items: itemWaits(state.items, waiting) };
}
