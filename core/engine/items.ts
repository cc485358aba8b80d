import { type ItemRange, type Outcome, stopsTheRun } from './outcome.ts';

/** A `forEach` with more items than this runs in windows, each a workflow of its own with at most this many. */
export const windowSize = 500;
export const openWindowsAtMost = 8;

/** The items of one `forEach`, or of one window of it. Ranges instead of lists: 100,000 items cost a few bytes. */
export interface ItemsState {
  count: number;
  /** Items at once. */
  concurrency: number;
  /** Not yet started, ascending. */
  unstarted: readonly ItemRange[];
  inFlight: readonly number[];
  retrying: readonly { item: number; atMs: number }[];
  /** Open windows; null: the items run in this workflow. */
  windows: readonly ItemRange[] | null;
  /** An item failed and that is not tolerated: nothing new starts. */
  failed: boolean;
}

export interface OpenItemsOptions {
  count: number;
  unfinished: readonly ItemRange[];
  retrying: readonly { item: number; atMs: number }[];
  concurrency: number;
  windows: readonly ItemRange[];
  failed: boolean;
}

export function openItems(options: OpenItemsOptions): ItemsState {
  const windowed = options.count > windowSize;
  const base = { count: options.count, concurrency: options.concurrency, inFlight: [], failed: options.failed };
  if (!windowed) return { ...base, unstarted: without(options.unfinished, options.retrying), retrying: options.retrying, windows: null };
  // A window looks up its own items that wait for another attempt.
  return {
    ...base,
    unstarted: options.windows.reduce((ranges, window) => cutRange(ranges, window), options.unfinished),
    retrying: [],
    windows: options.windows,
  };
}

const without = (ranges: readonly ItemRange[], entries: readonly { item: number }[]): readonly ItemRange[] =>
  entries.reduce<readonly ItemRange[]>((rest, { item }) => cutRange(rest, [item, item]), ranges);

/** `ranges` less `cut`. */
export function cutRange(ranges: readonly ItemRange[], cut: ItemRange): readonly ItemRange[] {
  return ranges.flatMap(([from, to]): ItemRange[] => {
    if (cut[1] < from || cut[0] > to) return [[from, to]];
    const rest: ItemRange[] = [];
    if (from < cut[0]) rest.push([from, cut[0] - 1]);
    if (to > cut[1]) rest.push([cut[1] + 1, to]);
    return rest;
  });
}

/** Takes up to `limit` items to start now: those due for another attempt first, then the unstarted in order. */
export function takeItems(state: ItemsState, limit: number, nowMs: number): { state: ItemsState; items: number[] } {
  const free = Math.min(limit, state.concurrency - state.inFlight.length);
  if (free <= 0 || state.failed || state.windows !== null) return { state, items: [] };
  const due = state.retrying
    .filter((entry) => entry.atMs <= nowMs)
    .slice(0, free)
    .map((entry) => entry.item);
  const first = takeFirst(state.unstarted, free - due.length);
  const items = [...due, ...first.items];
  if (items.length === 0) return { state, items };
  return {
    state: { ...state, unstarted: first.rest, retrying: state.retrying.filter((entry) => !due.includes(entry.item)), inFlight: [...state.inFlight, ...items] },
    items,
  };
}

function takeFirst(ranges: readonly ItemRange[], limit: number): { items: number[]; rest: readonly ItemRange[] } {
  const items: number[] = [];
  let index = 0;
  for (; index < ranges.length && items.length < limit; index += 1) {
    const [from, to] = ranges[index] as ItemRange;
    const last = Math.min(to, from + (limit - items.length) - 1);
    for (let item = from; item <= last; item += 1) items.push(item);
    if (last < to) return { items, rest: [[last + 1, to], ...ranges.slice(index + 1)] };
  }
  return { items, rest: ranges.slice(index) };
}

/** How a large `forEach` is divided: windows open at once, items at once in each, items in a window at most. */
export interface WindowDivision {
  open: number;
  concurrency: number;
  size: number;
}

/**
 * So many windows that their fixed shares add up to as many items at once as the plan allows, and so small that all of them have work. Rules 1 always
 * opened eight, of 500 items each: 600 items with `concurrency: 10` ran two at a time.
 */
export function divideIntoWindows(rules: number, { count, concurrency }: Pick<ItemsState, 'count' | 'concurrency'>, maxInFlight: number): WindowDivision {
  const atOnce = Math.min(concurrency, maxInFlight);
  const most = Math.min(openWindowsAtMost, atOnce);
  if (rules < 2) return { open: most, concurrency: Math.max(1, Math.floor(atOnce / most)), size: windowSize };
  let open = 1;
  for (let windows = 2; windows <= most; windows += 1) if (usedBy(windows, atOnce) >= usedBy(open, atOnce)) open = windows;
  return { open, concurrency: Math.floor(atOnce / open), size: Math.min(windowSize, Math.ceil(count / open)) };
}

const usedBy = (windows: number, atOnce: number): number => windows * Math.floor(atOnce / windows);

/** Takes the next window to open, when fewer than the most allowed are open. */
export function takeWindow(state: ItemsState, division: WindowDivision): { state: ItemsState; window: ItemRange | null } {
  const [first, ...rest] = state.unstarted;
  if (state.windows === null || state.failed || first === undefined || state.windows.length >= division.open) return { state, window: null };
  const [from, to] = first;
  const last = Math.min(to, from + division.size - 1);
  const window: ItemRange = [from, last];
  const unstarted: readonly ItemRange[] = last < to ? [[last + 1, to], ...rest] : rest;
  return { state: { ...state, unstarted, windows: [...state.windows, window] }, window };
}

/** An item's unit came back: ended with an outcome, or to be tried again at `retryAtMs`. */
export function itemReturned(state: ItemsState, item: number, outcome: Outcome | null, retryAtMs: number | null): ItemsState {
  const inFlight = state.inFlight.filter((other) => other !== item);
  const failed = state.failed || (outcome !== null && stopsTheRun(outcome));
  const retrying = retryAtMs === null ? state.retrying : [...state.retrying, { item, atMs: retryAtMs }];
  return { ...state, inFlight, failed, retrying };
}

/** An item was not begun: it is to be started again, with those that never were. */
export function itemHeld(state: ItemsState, item: number): ItemsState {
  return { ...state, inFlight: state.inFlight.filter((other) => other !== item), unstarted: withItem(state.unstarted, item) };
}

function withItem(ranges: readonly ItemRange[], item: number): readonly ItemRange[] {
  const before = ranges.filter(([, to]) => to < item - 1);
  const after = ranges.filter(([from]) => from > item + 1);
  const beside = ranges.filter(([from, to]) => to >= item - 1 && from <= item + 1);
  const joined: ItemRange = [Math.min(item, ...beside.map(([from]) => from)), Math.max(item, ...beside.map(([, to]) => to))];
  return [...before, joined, ...after];
}

export function windowReturned(state: ItemsState, from: number, failed: boolean): ItemsState {
  return { ...state, windows: (state.windows ?? []).filter((window) => window[0] !== from), failed: state.failed || failed };
}

/** Nothing runs and nothing more will start. */
export function itemsSettled(state: ItemsState, ending: boolean): boolean {
  if (state.inFlight.length > 0 || (state.windows?.length ?? 0) > 0) return false;
  return state.failed || ending || (state.unstarted.length === 0 && state.retrying.length === 0);
}

/** When an item is next due for another attempt; null: none will be. Those due already wait for room, not for the clock. */
export function itemsWakeAtMs(state: ItemsState, nowMs: number): number | null {
  const later = state.retrying.filter((entry) => entry.atMs > nowMs);
  return later.length === 0 ? null : later.reduce((soonest, entry) => Math.min(soonest, entry.atMs), Number.POSITIVE_INFINITY);
}
