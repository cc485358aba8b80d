import { type BatchResult, type ItemRange, isOutcome, type Outcome, stopsTheRun } from './outcome.ts';

/** A `forEach` with more items than this runs in windows, each a workflow of its own with at most this many. */
export const windowSize = 500;
export const openWindowsAtMost = 8;
/** Items of one batch at most: as many as a fused chain may have steps. */
export const batchSize = 200;
/** A batch whose time was up before it had begun so many items is of items that are not quick. */
const quickAtLeast = 5;

/** An item of a step that waits, with the row that says for what. */
export interface WaitingItem {
  item: number;
  waitId: string;
  /** Null: it ends by a decision only. */
  untilMs: number | null;
}

/** The items of one `forEach`, or of one window of it. Ranges instead of lists: 100,000 items cost a few bytes. */
export interface ItemsState {
  count: number;
  /** Items at once. */
  concurrency: number;
  /** Not yet started, ascending. */
  unstarted: readonly ItemRange[];
  inFlight: readonly number[];
  retrying: readonly { item: number; atMs: number }[];
  /** Items of a step that waits, opened and not being looked at just now. They take up `concurrency`, and no room in flight. */
  waiting: readonly WaitingItem[];
  /** Open windows; null: the items run in this workflow. */
  windows: readonly ItemRange[] | null;
  /** An item failed and that is not tolerated: nothing new starts. */
  failed: boolean;
  /** Its failure is the step's, whose `onError` goes on: the run does not end by it. */
  contained?: true;
  /** Open windows were told that it failed. */
  stopped?: true;
  /** Quick items that are being done one after another; absent: none are. */
  batch?: ItemRange | undefined;
  /** They are not that quick after all: from there on each item has an activity of its own. */
  slow?: true;
}

export interface OpenItemsOptions {
  count: number;
  unfinished: readonly ItemRange[];
  retrying: readonly { item: number; atMs: number }[];
  waiting: readonly WaitingItem[];
  concurrency: number;
  windows: readonly ItemRange[];
  failed: boolean;
  contained?: true | undefined;
}

export function openItems(options: OpenItemsOptions): ItemsState {
  const windowed = options.count > windowSize;
  const { count, concurrency, failed } = options;
  const base = { count, concurrency, inFlight: [], waiting: [], failed, ...(options.contained === true ? { contained: true as const } : {}) };
  if (!windowed) {
    const { retrying, waiting } = options;
    return { ...base, unstarted: without(options.unfinished, [...retrying, ...waiting]), retrying, waiting, windows: null };
  }
  // A window looks up its own items that wait: for another attempt, or for what their step waits for.
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

/** Takes what is to be started now, `limit` activities at most. Of `quick` items the unstarted are done in one go, as long as they are as quick as that. */
export function takeNext(state: ItemsState, quick: boolean, limit: number, nowMs: number): { state: ItemsState; items: number[]; batch: ItemRange | null } {
  if (!quick || state.slow === true) return { ...takeItems(state, limit, nowMs), batch: null };
  const { state: rest, batch } = takeBatch(state, limit);
  return { ...takeItems(rest, batch === null ? limit : limit - 1, nowMs, true), batch };
}

/** Null: a batch is under way, or none is due. */
function takeBatch(state: ItemsState, limit: number): { state: ItemsState; batch: ItemRange | null } {
  const [first, ...others] = state.unstarted;
  const full = state.inFlight.length >= state.concurrency;
  if (limit <= 0 || full || first === undefined || state.failed || state.windows !== null || state.batch !== undefined) return { state, batch: null };
  const [from, to] = first;
  const last = Math.min(to, from + batchSize - 1);
  const batch: ItemRange = [from, last];
  return { state: { ...state, unstarted: last < to ? [[last + 1, to], ...others] : others, batch }, batch };
}

/**
 * Takes up to `limit` items to start now: those due for another attempt first, then the unstarted in order. `inBatches`: the unstarted are
 * not started one by one.
 */
export function takeItems(state: ItemsState, limit: number, nowMs: number, inBatches = false): { state: ItemsState; items: number[] } {
  const free = Math.min(limit, state.concurrency - itemsAtWork(state) - state.waiting.length);
  if (free <= 0 || state.failed || state.windows !== null) return { state, items: [] };
  const due = state.retrying
    .filter((entry) => entry.atMs <= nowMs)
    .slice(0, free)
    .map((entry) => entry.item);
  const first = takeFirst(state.unstarted, inBatches ? 0 : free - due.length);
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
  /**
   * A window reaches over items that have ended, and leaves them alone: else each piece of a list with gaps would be a window of its own, and those that
   * wait would keep the others from being looked at.
   */
  reaches: boolean;
}

/**
 * So many windows that their fixed shares add up to as many items at once as the plan allows, and so small that all of them have work. Rules 1 always
 * opened eight, of 500 items each: 600 items with `concurrency: 10` ran two at a time.
 */
export function divideIntoWindows(
  rules: number,
  { count, concurrency }: Pick<ItemsState, 'count' | 'concurrency'>,
  maxInFlight: number,
  /** Items that wait take no room in flight while they do, but each window needs some to open and end them. */
  waiting = false,
): WindowDivision {
  const atOnce = waiting ? concurrency : Math.min(concurrency, maxInFlight);
  const most = Math.min(openWindowsAtMost, concurrency, maxInFlight);
  if (rules < 2) return { open: most, concurrency: Math.max(1, Math.floor(atOnce / most)), size: windowSize, reaches: false };
  let open = 1;
  for (let windows = 2; windows <= most; windows += 1) if (usedBy(windows, atOnce) >= usedBy(open, atOnce)) open = windows;
  return { open, concurrency: Math.floor(atOnce / open), size: Math.min(windowSize, Math.ceil(count / open)), reaches: true };
}

const usedBy = (windows: number, atOnce: number): number => windows * Math.floor(atOnce / windows);

/** Takes the next window to open, when fewer than the most allowed are open. */
export function takeWindow(state: ItemsState, division: WindowDivision): { state: ItemsState; window: ItemRange | null } {
  const [first] = state.unstarted;
  if (state.windows === null || state.failed || first === undefined || state.windows.length >= division.open) return { state, window: null };
  const [from, to] = first;
  const most = from + division.size - 1;
  const last = division.reaches ? lastWithin(state.unstarted, beforeNext(state.windows, from, most)) : Math.min(to, most);
  const window: ItemRange = [from, last];
  return { state: { ...state, unstarted: cutRange(state.unstarted, window), windows: [...state.windows, window] }, window };
}

/** No further than the next window that is open. */
const beforeNext = (windows: readonly ItemRange[], from: number, most: number): number =>
  windows.reduce((last, [first]) => (first > from ? Math.min(last, first - 1) : last), most);

/** The last item up to `most` that is in one of the ranges. */
const lastWithin = (ranges: readonly ItemRange[], most: number): number =>
  ranges.reduce((last, [from, to]) => (from <= most ? Math.max(last, Math.min(to, most)) : last), 0);

/** An item's unit came back: ended with an outcome, or to be tried again at `retryAtMs`. */
export function itemReturned(state: ItemsState, item: number, outcome: Outcome | null, retryAtMs: number | null): ItemsState {
  const inFlight = state.inFlight.filter((other) => other !== item);
  const failed = state.failed || (outcome !== null && stopsTheRun(outcome));
  const retrying = retryAtMs === null ? state.retrying : [...state.retrying, { item, atMs: retryAtMs }];
  return { ...state, inFlight, failed, retrying };
}

/** What the outcome of an item says of its `forEach`: one that is uncertain, where it does not end the run, is found at the join. */
export const outcomeOfItem = (rules: number, letter: string): Outcome | null => (!isOutcome(letter) || (letter === 'u' && rules >= 2) ? null : letter);

/** An item was not begun: it is to be started again, with those that never were. */
export function itemHeld(state: ItemsState, item: number): ItemsState {
  return { ...state, inFlight: state.inFlight.filter((other) => other !== item), unstarted: withItem(state.unstarted, item) };
}

/** What a batch came to. What it had no time for is to be started (again): one by one, where it got through few. */
export function batchReturned(rules: number, before: ItemsState, range: ItemRange, result: BatchResult, nowMs: number): ItemsState {
  const [from, to] = range;
  const { batch: _, ...rest } = before;
  const delays = new Map(result.retries?.map(({ position, inMs }) => [position, inMs]));
  let state: ItemsState = rest;
  for (let position = 0; position < result.outcomes.length; position += 1) {
    const inMs = delays.get(position);
    const outcome = outcomeOfItem(rules, result.outcomes.charAt(position));
    state = itemReturned(state, from + position, outcome, inMs === undefined ? null : nowMs + inMs);
  }
  const next = from + result.outcomes.length;
  if (next > to) return state;
  const isSlow = result.heldAt === undefined && !state.failed && result.outcomes.length < quickAtLeast;
  if (isSlow) return { ...state, unstarted: withRange(state.unstarted, [next, to]), slow: true };
  if (result.cut !== true) return { ...state, unstarted: withRange(state.unstarted, [next, to]) };
  // One that takes long among others that do not: due at once, it has an activity of its own.
  const unstarted = next < to ? withRange(state.unstarted, [next + 1, to]) : state.unstarted;
  return { ...state, unstarted, retrying: [...state.retrying, { item: next, atMs: nowMs }] };
}

const withItem = (ranges: readonly ItemRange[], item: number): readonly ItemRange[] => withRange(ranges, [item, item]);

function withRange(ranges: readonly ItemRange[], [first, last]: ItemRange): readonly ItemRange[] {
  const before = ranges.filter(([, to]) => to < first - 1);
  const after = ranges.filter(([from]) => from > last + 1);
  const beside = ranges.filter(([from, to]) => to >= first - 1 && from <= last + 1);
  const joined: ItemRange = [Math.min(first, ...beside.map(([from]) => from)), Math.max(last, ...beside.map(([, to]) => to))];
  return [...before, joined, ...after];
}

export function windowReturned(state: ItemsState, from: number, failed: boolean): ItemsState {
  return { ...state, windows: (state.windows ?? []).filter((window) => window[0] !== from), failed: state.failed || failed };
}

/** Activities of this workflow for these items. */
export const itemsAtWork = ({ inFlight, batch }: ItemsState): number => inFlight.length + (batch === undefined ? 0 : 1);

/** Nothing runs and nothing more will start. */
export function itemsSettled(state: ItemsState, ending: boolean): boolean {
  if (itemsAtWork(state) > 0 || (state.windows?.length ?? 0) > 0) return false;
  return state.failed || ending || (state.unstarted.length === 0 && state.retrying.length === 0 && state.waiting.length === 0);
}

/** When an item is next due, for another attempt or by its deadline; null: none will be. Those due already wait for room, not for the clock. */
export function itemsWakeAtMs(state: ItemsState, nowMs: number): number | null {
  const later = itemInstants(state).filter((atMs) => atMs > nowMs);
  return later.length === 0 ? null : later.reduce((soonest, atMs) => Math.min(soonest, atMs), Number.POSITIVE_INFINITY);
}

/** The instants at which items are due. */
export const itemInstants = (state: ItemsState): number[] => [
  ...state.retrying.map((entry) => entry.atMs),
  ...state.waiting.flatMap(({ untilMs }) => (untilMs === null ? [] : [untilMs])),
];
