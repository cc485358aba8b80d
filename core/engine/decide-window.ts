import { type Control, newerControl } from './control.ts';
import { type ItemsState, itemHeld, itemReturned, itemsSettled, itemsWakeAtMs, takeItems } from './items.ts';
import { isOutcome, type UnitResult } from './outcome.ts';
import { instantOf } from './state.ts';

/** A window of a large `forEach`: a workflow over a range of items of its run's step. */
export interface WindowState {
  items: ItemsState;
  /** The run ends: nothing new starts. */
  stopped: boolean;
  /** The run's claim passed on: nothing more may be done here. */
  superseded: boolean;
  control: Control;
}

export type WindowEvent = { what: 'item'; item: number; result: UnitResult } | { what: 'stop' } | { what: 'control'; control: Control } | { what: 'tick' };

export interface WindowDecision {
  state: WindowState;
  /** Items to start now. */
  start: number[];
  wakeAtMs: number | null;
  /** Nothing runs and nothing more will start. */
  over: boolean;
}

const commandsAtMost = 50;

export function decideWindow(before: WindowState, events: readonly WindowEvent[], nowMs: number, hold: boolean): WindowDecision {
  const state = events.reduce((state, event) => applyWindowEvent(state, event, nowMs), before);
  const ending = state.stopped || state.superseded;
  const taken = ending || hold || state.control.paused ? { state: state.items, items: [] } : takeItems(state.items, commandsAtMost, nowMs);
  const next = { ...state, items: taken.state };
  return { state: next, start: taken.items, wakeAtMs: ending ? null : itemsWakeAtMs(taken.state, nowMs), over: itemsSettled(taken.state, ending) };
}

function applyWindowEvent(state: WindowState, event: WindowEvent, nowMs: number): WindowState {
  switch (event.what) {
    case 'stop':
      return { ...state, stopped: true };
    case 'control':
      return { ...state, control: newerControl(state.control, event.control) };
    case 'tick':
      return state;
    case 'item': {
      const { heldAt } = event.result;
      if (heldAt !== undefined) {
        const control = newerControl(state.control, { version: heldAt, paused: true });
        return { ...state, control, items: itemHeld(state.items, event.item) };
      }
      const letter = event.result.outcomes[0] ?? '';
      const items = itemReturned(state.items, event.item, isOutcome(letter) ? letter : null, instantOf(event.result.retryInMs ?? null, nowMs));
      // A cancelled item tells of a cancel whose Signal has not arrived yet.
      return { ...state, items, stopped: state.stopped || letter === 'c', superseded: state.superseded || event.result.superseded === true };
    }
  }
}
