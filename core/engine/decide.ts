import type { PlanShape } from '#schemas/shape.ts';
import { applyEvent, type RunEvent } from './apply-event.ts';
import { longestUndoMs, nextUndo, undoWakesAtMs } from './compensation.ts';
import type { Control } from './control.ts';
import { divideIntoWindows, itemInstants, itemsAtWork, type ItemsState, itemsSettled, takeNext, takeWindow } from './items.ts';
import { needsVerdict, type Verdict } from './readiness.ts';
import type { Ending, RunState, StepState } from './state.ts';
import type { Undoing } from './undoing.ts';
import { takeDueItems, waits } from './waiting-items.ts';

/** What the workflow is to do. `alone`: nothing else of the run works meanwhile. `closes`: nothing else remains, so it may close the run. */
export type Command =
  | { do: 'unit'; unit: number; alone: boolean; closes: boolean }
  | { do: 'item'; step: number; item: number; alone: boolean }
  /** Quick items, one after another, within the workflow's own task; `to` is the last of them. */
  | { do: 'batch'; step: number; from: number; to: number }
  | { do: 'openItems'; step: number; alone: boolean }
  | { do: 'joinItems'; step: number; closes: boolean }
  /** `maxInFlight`: of items that wait, which take no room in flight while they do. */
  | { do: 'startWindow'; step: number; from: number; to: number; concurrency: number; maxInFlight?: number; quick?: true }
  | { do: 'openWait'; step: number; item?: number; alone: boolean }
  | { do: 'settleWait'; step: number; item?: number; waitId: string }
  | { do: 'skip'; steps: number[] }
  /** Activities in flight are cancelled. */
  | { do: 'cancelWork' }
  /** Open windows start nothing new while the run is paused, and go on when it is not. */
  | { do: 'tellWindows'; control: Control }
  /** Open windows (of one step, where it is named) start nothing new; with `cancel` their activities end too. */
  | { do: 'stopWindows'; cancel: boolean; step?: number }
  | { do: 'markWaiting' }
  /** What the steps did is undone, before the run ends so. `timeoutMs`: bound of one attempt at one undo. */
  | { do: 'undo'; ending: Ending; timeoutMs: number }
  | { do: 'close'; ending: Ending | null };

export interface Decision {
  state: RunState;
  commands: Command[];
  /** When to ask again though nothing happened; null: only an event changes anything. */
  wakeAtMs: number | null;
}

/**
 * The newest version of the decisions below. A released version never changes: histories were made by it. What a later version adds stands behind
 * parts of a shape that earlier releases did not write, or behind `rules >= N`; so one function decides for all, and an older release refuses a run
 * that it would not understand.
 *
 * 1: the first release. 2: signals, sub-plans, loops, compensation, and what people can do to a run. 3: what one decision had no room for is begun by
 * the next one at once (before, only when something had ended).
 */
export const currentRules = 3;
const oldestRules = 1;

/** Commands of one workflow task: more would make one task's completion large and slow. */
const commandsAtMost = 50;

/**
 * The engine: what happened goes in, what is to be done comes out. Pure; `nowMs` is the workflow's time. `hold` starts nothing new
 * (a generation that is draining). Throws on rules it does not know.
 */
export function decide(rules: number, shape: PlanShape, before: RunState, events: readonly RunEvent[], nowMs: number, hold = false): Decision {
  if (rules < oldestRules || rules > currentRules) throw new Error(`This release knows rules ${oldestRules} to ${currentRules}, not ${rules}.`);
  const applied = events.reduce((state, event) => applyEvent(rules, shape, state, event, nowMs), before);
  const timedOut = heedsDeadline(applied) && applied.deadlineMs !== null && applied.deadlineMs <= nowMs;
  const state: RunState = timedOut ? { ...applied, ending: 'timed_out' } : applied;
  const draft = new Draft(rules, shape, state, nowMs);
  if (!state.closed && !state.closing) {
    draft.stop();
    draft.stopFailedWindows();
    draft.tellWindows();
    draft.settleWaits();
    draft.joinItems();
    if (!hold && state.ending === null && !state.control.paused) draft.start();
    draft.close(hold);
    draft.markWaiting(hold || state.control.paused);
    draft.tellWhoIsAlone();
  }
  return { state: draft.state(), commands: draft.commands, wakeAtMs: draft.wakeAtMs() };
}

/** What a failure lets finish must still end in time. What undoes may take as long as it takes. */
const heedsDeadline = ({ ending, undoing }: RunState): boolean => !stopsWork(ending) && undoing === undefined;

/** A cancel and a deadline end what runs; a failure lets it finish. */
const stopsWork = (ending: Ending | null): boolean => ending === 'cancelled' || ending === 'timed_out';

/** One decision in the making: the next state and the commands that lead to it. */
class Draft {
  readonly commands: Command[] = [];
  private readonly rules: number;
  private readonly shape: PlanShape;
  private readonly before: RunState;
  private readonly nowMs: number;
  private readonly steps: StepState[];
  private told: Ending | null;
  private earlyDecisions: readonly string[];
  private closing: boolean;
  private knownWaiting: boolean;
  private toldWindows: number;
  private undoing: Undoing | undefined;
  /** Activities that work for this run in this workflow; a chain counts once. */
  private inFlight: number;

  constructor(rules: number, shape: PlanShape, before: RunState, nowMs: number) {
    this.rules = rules;
    this.shape = shape;
    this.before = before;
    this.nowMs = nowMs;
    this.steps = [...before.steps];
    this.told = before.told;
    this.earlyDecisions = before.earlyDecisions;
    this.closing = before.closing;
    this.knownWaiting = before.knownWaiting;
    this.toldWindows = before.toldWindows;
    this.undoing = before.undoing;
    this.inFlight = shape.units.reduce((sum, members) => sum + inFlightOfUnit(before.steps, members), 0);
  }

  state(): RunState {
    const { steps, told, closing, knownWaiting, toldWindows, earlyDecisions, undoing } = this;
    return { ...this.before, steps, told, closing, knownWaiting, toldWindows, earlyDecisions, ...(undoing === undefined ? {} : { undoing }) };
  }

  stop(): void {
    const { ending } = this.before;
    if (ending === this.told || ending === null) return;
    this.told = ending;
    if (stopsWork(ending)) this.commands.push({ do: 'cancelWork' });
    if (this.openWindowCount() > 0) this.commands.push({ do: 'stopWindows', cancel: stopsWork(ending) });
  }

  /** A `forEach` that has failed ends by itself where the run goes on. */
  stopFailedWindows(): void {
    if (this.before.ending !== null) return;
    this.steps.forEach((state, step) => {
      if (state.status !== 'items' || !state.items.failed || state.items.stopped === true || (state.items.windows?.length ?? 0) === 0) return;
      this.steps[step] = { status: 'items', items: { ...state.items, stopped: true } };
      this.commands.push({ do: 'stopWindows', cancel: false, step });
    });
  }

  /** A pause reaches windows by their own activities, too; its end only by this. */
  tellWindows(): void {
    const { control } = this.before;
    if (control.version <= this.toldWindows) return;
    this.toldWindows = control.version;
    if (this.openWindowCount() > 0) this.commands.push({ do: 'tellWindows', control });
  }

  /** Waits whose deadline passed are settled by an activity that asks the database's clock. */
  settleWaits(): void {
    if (this.before.ending !== null) return;
    this.steps.forEach((state, step) => {
      if (state.status === 'items') this.settleItems(step, state.items);
      if (state.status !== 'waiting' || this.commands.length >= commandsAtMost) return;
      const decided = this.earlyDecisions.includes(state.waitId);
      if (decided || (state.untilMs !== null && state.untilMs <= this.nowMs)) {
        this.steps[step] = { status: 'settling', waitId: state.waitId };
        this.commands.push({ do: 'settleWait', step, waitId: state.waitId });
        this.inFlight += 1;
        if (this.rules >= 2) this.forgetDecisions([state.waitId]);
      }
    });
  }

  private settleItems(step: number, items: ItemsState): void {
    const { state, due } = takeDueItems(items, (waitId) => this.earlyDecisions.includes(waitId), commandsAtMost - this.commands.length, this.nowMs);
    this.steps[step] = { status: 'items', items: state };
    for (const { item, waitId } of due) this.commands.push({ do: 'settleWait', step, item, waitId });
    this.inFlight += due.length;
    this.forgetDecisions(due.map(({ waitId }) => waitId));
  }

  /** Whoever looks at the row now finds the decision there; what arrives from here on is another one. */
  private forgetDecisions(waitIds: readonly string[]): void {
    if (waitIds.length > 0) this.earlyDecisions = this.earlyDecisions.filter((waitId) => !waitIds.includes(waitId));
  }

  /** What a failure left unstarted is not joined: the run's end closes it. */
  joinItems(): void {
    if (stopsWork(this.before.ending)) return;
    this.steps.forEach((state, step) => {
      if (state.status !== 'items' || !itemsSettled(state.items, false) || this.commands.length >= commandsAtMost) return;
      this.steps[step] = { status: 'joining' };
      this.commands.push({ do: 'joinItems', step, closes: false });
      this.inFlight += 1;
    });
  }

  start(): void {
    this.skipWhatCannotRun();
    this.startItems();
    for (let unit = 0; unit < this.shape.units.length && this.mayStartMore(); unit += 1) this.startUnit(unit);
  }

  private mayStartMore(): boolean {
    return this.room() > 0;
  }

  /** So many more may be begun by this decision. */
  private room(): number {
    return Math.min(this.shape.maxInFlight - this.inFlight, commandsAtMost - this.commands.length);
  }

  /** A skip may skip others in turn: repeated until nothing more is. One activity writes their rows; dependants start when it has. */
  private skipWhatCannotRun(): void {
    if (this.commands.length >= commandsAtMost) return;
    const skipped: number[] = [];
    for (let found = true; found; ) {
      found = false;
      this.steps.forEach((state, step) => {
        if (state.status !== 'pending' || this.verdict(step, true).verdict !== 'skip') return;
        this.steps[step] = { status: 'skipping' };
        skipped.push(step);
        found = true;
      });
    }
    if (skipped.length === 0) return;
    this.commands.push({ do: 'skip', steps: skipped.sort((one, other) => one - other) });
    this.inFlight += 1;
  }

  private startItems(): void {
    this.steps.forEach((state, step) => {
      if (state.status !== 'items') return;
      this.openWindows(step);
      const current = this.steps[step];
      if (current?.status !== 'items') return;
      const { state: items, items: single, batch } = takeNext(current.items, this.shape.steps[step]?.forEach?.quick === true, this.room(), this.nowMs);
      this.steps[step] = { status: 'items', items };
      this.inFlight += single.length + (batch === null ? 0 : 1);
      if (batch !== null) this.commands.push({ do: 'batch', step, from: batch[0], to: batch[1] });
      const waiting = waits(this.shape.steps[step]?.kind ?? 'tool');
      for (const item of single) this.commands.push({ do: waiting ? 'openWait' : 'item', step, item, alone: false });
    });
  }

  private openWindows(step: number): void {
    for (;;) {
      const current = this.steps[step];
      if (current?.status !== 'items' || this.commands.length >= commandsAtMost) return;
      const { maxInFlight } = this.shape;
      const waiting = waits(this.shape.steps[step]?.kind ?? 'tool');
      const division = divideIntoWindows(this.rules, current.items, maxInFlight, waiting);
      const taken = takeWindow(current.items, division);
      if (taken.window === null) return;
      this.steps[step] = { status: 'items', items: taken.state };
      const [from, to] = taken.window;
      const share = waiting ? { maxInFlight: Math.max(1, Math.floor(maxInFlight / division.open)) } : {};
      const quick = this.shape.steps[step]?.forEach?.quick === true ? { quick: true as const } : {};
      this.commands.push({ do: 'startWindow', step, from, to, concurrency: division.concurrency, ...share, ...quick });
    }
  }

  private startUnit(unit: number): void {
    const members = this.shape.units[unit] ?? [];
    const head = members.find((member) => this.steps[member]?.status !== 'ended');
    if (head === undefined) return;
    const state = this.steps[head];
    const due = state?.status === 'pending' || (state?.status === 'retrying' && state.atMs <= this.nowMs);
    if (!due || this.verdict(head).verdict !== 'ready') return;
    // A later member is being skipped by an activity of its own: two must not answer for it.
    if (members.some((member) => this.steps[member]?.status === 'skipping')) return;
    const step = this.shape.steps[head];
    if (step === undefined) return;
    if (step.forEach !== undefined) this.commands.push({ do: 'openItems', step: head, alone: false });
    else if (waits(step.kind)) this.commands.push({ do: 'openWait', step: head, alone: false });
    else this.commands.push({ do: 'unit', unit, alone: false, closes: false });
    this.inFlight += 1;
    for (const member of members) if (this.steps[member]?.status !== 'ended') this.steps[member] = { status: 'working' };
  }

  /** `foresee`: a skip on its way counts as one. */
  private verdict(step: number, foresee = false): Verdict {
    const shape = this.shape.steps[step];
    if (shape === undefined) return { verdict: 'blocked', by: [] };
    return needsVerdict(shape, (need) => {
      const state = this.steps[need];
      if (state?.status === 'ended') return state.outcome;
      return foresee && state?.status === 'skipping' ? 'k' : null;
    });
  }

  /** Nothing works any more and either all ended or nothing new may start. What is to be undone is undone first. */
  close(hold: boolean): void {
    const ending = this.before.ending;
    const over = ending === null ? this.steps.every((state) => state.status === 'ended') : this.inFlight === 0 && this.openWindowCount() === 0;
    if (!over) return;
    const next = nextUndo(this.shape, this.before, ending, hold, this.nowMs);
    if (next === 'close') {
      this.closing = true;
      this.commands.push({ do: 'close', ending });
    } else if (next === 'undo' && ending !== null) {
      this.undoing = { status: 'working' };
      this.commands.push({ do: 'undo', ending, timeoutMs: longestUndoMs(this.shape) });
    }
  }

  /** When all that is left is waiting, the run says so; it costs an activity only where the opening of the wait could not say it. */
  markWaiting(hold: boolean): void {
    // Whoever undoes says himself what he waits for.
    if (this.closing || this.undoing !== undefined) return;
    const onlyWaits =
      this.commands.length === 0 && this.inFlight === 0 && !this.hasWorkingWindows() && this.steps.some((state, step) => this.isWaiting(state, step));
    if (!onlyWaits || hold) {
      if (this.inFlight > this.lookingCount()) this.knownWaiting = false;
      return;
    }
    if (this.knownWaiting) return;
    this.knownWaiting = true;
    this.commands.push({ do: 'markWaiting' });
  }

  /** Waits that are being looked at: while they go on the run still does nothing but wait, and where one ends, that is told. */
  private lookingCount(): number {
    return this.rules < 2 ? 0 : this.steps.filter(({ status }) => status === 'settling').length;
  }

  /** Of windows over a step that waits only the rows tell whether they do more than that: whoever marks the run as waiting looks there. */
  private hasWorkingWindows(): boolean {
    return this.steps.some(
      (state, step) => state.status === 'items' && (state.items.windows?.length ?? 0) > 0 && !waits(this.shape.steps[step]?.kind ?? 'tool'),
    );
  }

  private isWaiting(state: StepState, step: number): boolean {
    if (state.status === 'waiting' || state.status === 'uncertain') return true;
    return (
      state.status === 'items' && waits(this.shape.steps[step]?.kind ?? 'tool') && (state.items.waiting.length > 0 || (state.items.windows?.length ?? 0) > 0)
    );
  }

  /** Only now is it known what else was started. */
  tellWhoIsAlone(): void {
    const working = this.commands.filter(
      (command) => command.do === 'unit' || command.do === 'item' || command.do === 'openItems' || command.do === 'openWait' || command.do === 'joinItems',
    );
    const only = working[0];
    if (working.length !== 1 || only === undefined || this.inFlight !== 1 || this.openWindowCount() > 0) return;
    if (only.do !== 'joinItems') only.alone = true;
    if (only.do === 'openWait') this.knownWaiting = true;
    if (this.before.ending !== null) return;
    if (only.do === 'unit') only.closes = this.othersEnded(this.shape.units[only.unit] ?? []);
    if (only.do === 'joinItems') only.closes = this.othersEnded([only.step]);
  }

  private othersEnded(members: readonly number[]): boolean {
    return this.steps.every((state, step) => state.status === 'ended' || members.includes(step));
  }

  private openWindowCount(): number {
    return this.steps.reduce((sum, state) => sum + (state.status === 'items' ? (state.items.windows?.length ?? 0) : 0), 0);
  }

  /** What is due and was not started waits for room or for the end of a drain, which wake by themselves: a timer for it would ring for ever. */
  wakeAtMs(): number | null {
    if (this.before.closed || this.closing) return null;
    // The next decision begins what this one had no room for.
    if (this.rules >= 3 && this.commands.length >= commandsAtMost) return this.nowMs + 1;
    const instants = this.before.ending === null ? this.steps.flatMap((state) => wakeOf(state)) : undoWakesAtMs(this.undoing);
    if (this.before.deadlineMs !== null && heedsDeadline(this.before)) instants.push(this.before.deadlineMs);
    const later = instants.filter((instant) => instant > this.nowMs);
    return later.length === 0 ? null : later.reduce((one, other) => Math.min(one, other));
  }
}

function inFlightOfUnit(steps: readonly StepState[], members: readonly number[]): number {
  for (const member of members) {
    const state = steps[member];
    if (state?.status === 'working' || state?.status === 'joining' || state?.status === 'settling' || state?.status === 'skipping') return 1;
    if (state?.status === 'items') return itemsAtWork(state.items);
  }
  return 0;
}

function wakeOf(state: StepState): number[] {
  if (state.status === 'retrying') return [state.atMs];
  if (state.status === 'waiting') return state.untilMs === null ? [] : [state.untilMs];
  if (state.status !== 'items') return [];
  return itemInstants(state.items);
}
