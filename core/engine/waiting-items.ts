import type { StepKind } from '#schemas/shape.ts';
import type { ItemsState, WaitingItem } from './items.ts';

/** Steps of these kinds open a wait and do no work until it is over. */
export const waits = (kind: StepKind): boolean => kind === 'approval' || kind === 'wait' || kind === 'signal' || kind === 'plan';

/** Takes up to `limit` waiting items that are due or decided, to be looked at now. */
export function takeDueItems(
  state: ItemsState,
  isDecided: (waitId: string) => boolean,
  limit: number,
  nowMs: number,
): { state: ItemsState; due: readonly WaitingItem[] } {
  if (state.waiting.length === 0 || limit <= 0) return { state, due: [] };
  const due = state.waiting.filter(({ waitId, untilMs }) => isDecided(waitId) || (untilMs !== null && untilMs <= nowMs)).slice(0, limit);
  if (due.length === 0) return { state, due };
  const taken = due.map(({ item }) => item);
  return { state: { ...state, waiting: state.waiting.filter(({ item }) => !taken.includes(item)), inFlight: [...state.inFlight, ...taken] }, due };
}

/** An item's wait was opened, or was looked at and is open still. */
export const itemWaits = (state: ItemsState, waiting: WaitingItem): ItemsState => ({
  ...state,
  inFlight: state.inFlight.filter((item) => item !== waiting.item),
  waiting: [...state.waiting, waiting],
});
