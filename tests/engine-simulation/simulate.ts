import type { RunEvent } from '#core/engine/apply-event.ts';
import { type Command, currentRules, decide } from '#core/engine/decide.ts';
import type { ItemRange } from '#core/engine/outcome.ts';
import { windowSize } from '#core/engine/items.ts';
import { initialState, type RunState, restoreState } from '#core/engine/state.ts';
import { randomPlan, type SimulatedPlan } from './random-plan.ts';
import { Random } from './random.ts';
import { SimulatedWindow } from './simulated-window.ts';
import { World } from './world.ts';

/** How rough the simulation is with the run. */
export interface Weather {
  /** Of every step of time: the workflow and all its activities are lost, and the run goes on from what is stored. */
  loss: number;
  /** Of every step of time: the generation drains and hands over. */
  handOver: number;
  /** Of every step of time: a Signal tells of a decision that nobody took. */
  forgedDecision: number;
  /** Of every step of time: somebody pauses the run, for a while. */
  pause: number;
  /** Of every step of time: somebody overrides or skips a step, or an item, that nobody works on. */
  byHand: number;
  /** Of a run that ended without success and has undone nothing: somebody retries it. */
  retry: number;
}

/** No accident, and nobody who does anything. */
export const calm: Weather = { loss: 0, handOver: 0, forgedDecision: 0, pause: 0, byHand: 0, retry: 0 };

interface Flight {
  command: Command;
  doneAtMs: number;
}

const commandsAtMost = 50;
const roundsAtMost = 60_000;
const never = Number.POSITIVE_INFINITY;
const workOf = new Set<Command['do']>(['unit', 'item', 'batch', 'openItems', 'openWait', 'joinItems', 'settleWait', 'skip']);

/** Runs one random plan to its end; throws with the seed when the engine breaks a promise. Answers how many decisions it took. */
export function simulate(seed: number, weather: Weather): number {
  const plan = randomPlan(seed);
  try {
    return new Simulation(plan, new Random(seed ^ 0x5bd1e995), weather).run();
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

class Simulation {
  private readonly plan: SimulatedPlan;
  private readonly random: Random;
  private readonly weather: Weather;
  private readonly world: World;
  private endsAtMs: number | null;
  private state: RunState;
  private nowMs = 0;
  private wakeAtMs: number | null = null;
  private holding = false;
  private inbox: RunEvent[] = [];
  private flights: Flight[] = [];
  private windows: SimulatedWindow[] = [];
  /** `place`: an item of a step; where windows have it, one of them is told. */
  private signals: { atMs: number; event: RunEvent; place?: { step: number; item: number } }[] = [];
  private cancelTold = false;
  private pausedUntilMs: number | null = null;
  private readonly settled = new Map<string, number>();

  constructor(plan: SimulatedPlan, random: Random, weather: Weather) {
    this.plan = plan;
    this.random = random;
    this.weather = weather;
    this.world = new World(plan, random);
    this.endsAtMs = plan.shape.timeoutMs;
    this.state = initialState(plan.shape, this.endsAtMs, currentRules);
  }

  run(): number {
    for (let round = 1; round <= roundsAtMost; round += 1) {
      this.decide();
      if (this.state.closed) {
        this.checkEnd();
        if (!this.retries()) return round;
        continue;
      }
      if (this.handOverIfDrained()) continue;
      this.letTimePass();
      if (this.random.chance(this.weather.loss)) this.loseEverything();
      if (this.random.chance(this.weather.handOver)) this.holding = true;
    }
    throw new Error('the run did not end');
  }

  private decide(): void {
    const events = this.inbox;
    this.inbox = [];
    const decision = decide(currentRules, this.plan.shape, this.state, events, this.nowMs, this.holding);
    this.state = decision.state;
    this.wakeAtMs = decision.wakeAtMs;
    this.checkDecision(decision.commands);
    for (const command of decision.commands) this.perform(command);
    this.checkFlights();
  }

  private perform(command: Command): void {
    switch (command.do) {
      case 'cancelWork':
        // What hangs ends now, what was about to end anyway may do so first.
        this.flights = this.flights.map((flight) => (flight.doneAtMs === never || this.random.chance(0.7) ? { ...flight, doneAtMs: this.nowMs } : flight));
        return;
      case 'stopWindows':
        for (const window of this.windows) window.stop(command.cancel, this.nowMs);
        return;
      case 'tellWindows':
        for (const window of this.windows) window.tell(command.control);
        return;
      case 'startWindow':
        this.windows.push(new SimulatedWindow(command, { world: this.world, random: this.random, mayHang: this.willBeStopped }, this.nowMs));
        return;
      case 'unit':
      case 'item':
      case 'batch':
      case 'openItems':
      case 'joinItems':
      case 'openWait':
      case 'settleWait':
      case 'skip':
      case 'markWaiting':
      case 'undo':
      case 'close':
        this.flights.push({ command, doneAtMs: this.doneAtMs(command) });
    }
  }

  /** Work that hangs stands only in runs that something else will end. */
  private doneAtMs(command: Command): number {
    const mayHang = (command.do === 'unit' || command.do === 'item') && this.willBeStopped;
    if (mayHang && this.random.chance(0.05)) return never;
    return this.nowMs + this.random.between(1, this.random.chance(0.1) ? 3_000 : 200);
  }

  private get willBeStopped(): boolean {
    return (this.plan.cancelAtMs !== null && !this.cancelTold) || this.endsAtMs !== null;
  }

  /** The next instant at which something happens, and what happens by then. */
  private letTimePass(): void {
    const instants = [
      ...this.flights.map(({ doneAtMs }) => doneAtMs),
      ...this.windows.flatMap((window) => [
        ...[...window.inFlight, ...(window.batch === null ? [] : [window.batch])].map(({ doneAtMs }) => doneAtMs),
        ...(window.wakeAtMs === null ? [] : [window.wakeAtMs]),
        ...(window.over || window.hasNews ? [this.nowMs] : []),
      ]),
      ...this.signals.map(({ atMs }) => atMs),
      ...this.decisionInstants(),
      ...this.world.uncertain().map(({ atMs }) => atMs),
      ...(this.world.undos.uncertain().length === 0 ? [] : [this.nowMs + 100]),
      ...(this.wakeAtMs === null ? [] : [this.wakeAtMs]),
      ...(this.plan.cancelAtMs === null || this.cancelTold ? [] : [this.plan.cancelAtMs]),
      ...(this.pausedUntilMs === null ? [] : [this.pausedUntilMs]),
      ...(this.holding ? [this.nowMs + 1] : []),
    ];
    if (instants.every((instant) => instant === never))
      throw new Error(`deadlock: nothing is under way and nothing will happen; ${JSON.stringify(this.state.steps)}`);
    this.checkSaysWaiting();
    const next = instants.reduce((one, other) => Math.min(one, other));
    this.nowMs = Math.max(this.nowMs, next) + (this.random.chance(0.3) ? this.random.between(0, 100) : 0);
    this.peopleAct();
    this.finishFlights();
    for (const window of this.windows) window.pass(this.nowMs);
    for (const { step, from, failed } of this.windows.filter(({ over }) => over)) this.inbox.push({ what: 'window', step, from, failed });
    this.windows = this.windows.filter(({ over }) => !over);
    for (const signal of this.signals) if (signal.atMs <= this.nowMs) this.deliver(signal);
    this.signals = this.signals.filter(({ atMs }) => atMs > this.nowMs);
    if (this.inbox.length === 0) this.inbox.push({ what: 'tick' });
  }

  private decisionInstants(): number[] {
    return this.world.openDecisions().map(({ atMs }) => atMs);
  }

  private peopleAct(): void {
    for (const open of this.world.openDecisions()) {
      if (open.atMs > this.nowMs) continue;
      this.world.decide(open, this.nowMs);
      const { step, item, waitId } = open;
      this.signal({ what: 'decision', waitId }, item === null ? undefined : { step, item });
    }
    if (this.random.chance(this.weather.forgedDecision)) this.signal({ what: 'decision', waitId: `wait-${this.random.between(0, this.plan.steps.length)}` });
    this.resolveUncertain();
    this.endByHand();
    this.pauseAndResume();
    const { cancelAtMs } = this.plan;
    if (cancelAtMs === null || cancelAtMs > this.nowMs || this.cancelTold) return;
    this.world.cancelRequested = true;
    this.cancelTold = true;
    this.signal({ what: 'cancelled' });
  }

  private endByHand(): void {
    if (this.weather.byHand === 0 || !this.random.chance(this.weather.byHand)) return;
    const endable = this.world.endable();
    const one = endable[this.random.between(0, endable.length - 1)];
    if (one === undefined) return;
    this.world.endByHand(one, this.random.chance(0.6) ? 's' : 'k');
    const { step, item, waitId } = one;
    if (waitId !== null) this.signal({ what: 'decision', waitId }, item === null ? undefined : { step, item });
    this.signal({ what: 'control', control: this.world.readControl() });
  }

  private pauseAndResume(): void {
    const { world, nowMs } = this;
    if (this.pausedUntilMs !== null && this.pausedUntilMs <= nowMs) {
      this.pausedUntilMs = null;
      world.setPaused(false);
    } else if (this.pausedUntilMs === null && world.closed === null && this.random.chance(this.weather.pause)) {
      this.pausedUntilMs = nowMs + this.random.between(0, 2_000);
      world.setPaused(true);
    } else return;
    this.signal({ what: 'control', control: world.readControl() });
  }

  private resolveUncertain(): void {
    if (this.world.closed !== null) return;
    const due = this.world.uncertain().filter(({ atMs }) => atMs <= this.nowMs);
    for (const { resolve } of due) resolve();
    const undos = this.world.undos.uncertain().filter(() => this.random.chance(0.5));
    for (const key of undos) this.world.resolveUndo(key);
    if (due.length + undos.length > 0) this.signal({ what: 'control', control: this.world.readControl() });
  }

  private signal(event: RunEvent, place?: { step: number; item: number }): void {
    this.signals.push({ atMs: this.nowMs + this.random.between(0, 300), event, ...(place === undefined ? {} : { place }) });
  }

  private deliver({ event, place }: { event: RunEvent; place?: { step: number; item: number } }): void {
    const windowed = place !== undefined && (this.world.rows[place.step]?.items?.length ?? 0) > windowSize;
    if (!windowed || event.what !== 'decision') this.inbox.push(event);
    // A window that is not there finds the decision when it loads.
    else this.windows.find(({ step, from, to }) => step === place.step && from <= place.item && place.item <= to)?.tellDecision(event.waitId);
  }

  private finishFlights(): void {
    const done = this.flights.filter(({ doneAtMs }) => doneAtMs <= this.nowMs);
    this.flights = this.flights.filter(({ doneAtMs }) => doneAtMs > this.nowMs);
    for (const { command } of done) this.inbox.push(this.execute(command));
  }

  private execute(command: Command): RunEvent {
    const { world, nowMs } = this;
    switch (command.do) {
      case 'unit': {
        const steps = (this.plan.shape.units[command.unit] ?? []).filter((step) => this.state.steps[step]?.status !== 'ended');
        return { what: 'unit', unit: command.unit, result: world.executeUnit(steps, command.alone, command.closes, nowMs) };
      }
      case 'item':
        return { what: 'item', step: command.step, item: command.item, result: world.executeItem(command.step, command.item, command.alone, nowMs) };
      case 'batch': {
        const { step, from, to } = command;
        return { what: 'batch', step, from, to, result: world.executeBatch(step, from, to, nowMs) };
      }
      case 'openItems':
        return { what: 'itemsOpened', step: command.step, result: world.openItems(command.step) };
      case 'joinItems':
        return { what: 'itemsJoined', step: command.step, result: world.joinItems(command.step, command.closes) };
      case 'openWait':
        return { what: 'waitOpened', ...placeOf(command), result: world.openWait(command.step, command.item, command.alone, nowMs) };
      case 'settleWait':
        return { what: 'waitSettled', ...placeOf(command), result: world.settleWait(command.step, command.item, command.waitId, nowMs) };
      case 'skip':
        return { what: 'skipped', steps: command.steps, result: world.skip(command.steps) };
      case 'markWaiting':
        world.markWaiting();
        return { what: 'tick' };
      case 'undo':
        return { what: 'undone', result: world.undo(command.ending, nowMs) };
      case 'close':
        world.close(command.ending);
        return { what: 'closed' };
      case 'startWindow':
      case 'stopWindows':
      case 'tellWindows':
      case 'cancelWork':
        throw new Error(`${command.do} is no activity`);
    }
  }

  /** The same chain goes on in another generation of its history; its windows live on. */
  private handOverIfDrained(): boolean {
    if (!this.holding || this.state.closing || this.flights.length > 0 || this.inbox.length > 0) return false;
    const windows = this.windows.map(({ step, from }) => ({ step, from, to: this.windowEnd(step, from) }));
    this.state = restoreState(this.plan.shape, { ...this.world.progress(this.nowMs, this.endsAtMs), windows }, this.nowMs, currentRules);
    this.holding = false;
    return true;
  }

  private windowEnd(step: number, from: number): number {
    const state = this.state.steps[step];
    const range = state?.status === 'items' ? state.items.windows?.find(([first]) => first === from) : undefined;
    if (range === undefined) throw new Error(`the engine does not know of window ${from} of step ${step}`);
    return range[1];
  }

  /** A person tries again what has failed, or was cut off. What still works for the run has nothing more to say. */
  private retries(): boolean {
    const { world } = this;
    if (world.closed === null || world.closed === 'succeeded' || world.undos.ending !== null || !this.random.chance(this.weather.retry)) return false;
    world.retry();
    this.pausedUntilMs = null;
    this.endsAtMs = this.endsAtMs === null ? null : this.nowMs + (this.plan.shape.timeoutMs ?? 0);
    this.goOnFromStore();
    return true;
  }

  /** Another chain goes on. Of what was under way, some had reached the database and some had not; none of it is heard of. */
  private loseEverything(): void {
    for (const { command } of this.flights) if (this.random.chance(0.5) && this.world.closed === null) this.execute(command);
    this.goOnFromStore();
    // Nobody works on a run that is closed: its new generation finds that out and ends.
    if (this.world.closed !== null) this.state = { ...this.state, closed: true };
  }

  private goOnFromStore(): void {
    this.flights = [];
    this.windows = [];
    this.signals = [];
    this.inbox = [];
    this.holding = false;
    this.state = restoreState(this.plan.shape, this.world.progress(this.nowMs, this.endsAtMs), this.nowMs, currentRules);
  }

  private checkDecision(commands: readonly Command[]): void {
    if (commands.length > commandsAtMost) throw new Error(`${commands.length} commands in one decision`);
    const working = commands.filter((command) => workOf.has(command.do));
    for (const command of working) this.checkCommand(command, working);
    if (this.wakeAtMs !== null && this.wakeAtMs <= this.nowMs) throw new Error('asks to be woken at an instant that is past: that rings for ever');
  }

  private checkCommand(command: Command, working: readonly Command[]): void {
    if (command.do === 'settleWait') {
      const asked = (this.settled.get(command.waitId) ?? 0) + 1;
      this.settled.set(command.waitId, asked);
      // Once for its end, once for each look at a condition, and once for each Signal, restore and early ring of a timer.
      if (asked > 24) throw new Error(`${command.waitId} was asked for ${asked} times`);
    }
    const under = this.flights.map((flight) => flight.command);
    for (const other of under) if (this.meets(command, other)) throw new Error(`${JSON.stringify(command)} was started while ${JSON.stringify(other)} works`);
    const alone = 'alone' in command && command.alone;
    const closes = 'closes' in command && command.closes;
    const company = working.length - 1 + under.filter((other) => workOf.has(other.do)).length + this.windows.length;
    if ((alone || closes) && company > 0) throw new Error(`${JSON.stringify(command)} is not alone`);
    if (closes) this.checkCloses(command);
  }

  private checkCloses(command: Command): void {
    const own = command.do === 'unit' ? (this.plan.shape.units[command.unit] ?? []) : command.do === 'joinItems' ? [command.step] : [];
    const open = this.world.rows.findIndex((row, step) => row.outcome === null && !own.includes(step));
    if (open !== -1) throw new Error(`${JSON.stringify(command)} would close the run while step ${open} is open`);
  }

  /** Two commands work on the same step or item. */
  private meets(one: Command, other: Command): boolean {
    const items = [itemsOf(one), itemsOf(other)];
    const [mine, others] = items;
    if (mine !== undefined && others !== undefined)
      return 'step' in one && 'step' in other && one.step === other.step && mine[0] <= others[1] && others[0] <= mine[1];
    if (items.some((range) => range !== undefined)) return false;
    const stepsOfOther = this.stepsOf(other);
    return this.stepsOf(one).some((step) => stepsOfOther.includes(step));
  }

  private stepsOf(command: Command): readonly number[] {
    if (command.do === 'unit') return (this.plan.shape.units[command.unit] ?? []).filter((step) => this.state.steps[step]?.status !== 'ended');
    if (command.do === 'skip') return command.steps;
    return 'step' in command && workOf.has(command.do) ? [command.step] : [];
  }

  private checkFlights(): void {
    const { maxInFlight, steps } = this.plan.shape;
    const bounded = this.flights.filter(({ command }) => ['unit', 'item', 'batch', 'openItems', 'openWait'].includes(command.do)).length;
    if (bounded > maxInFlight) throw new Error(`${bounded} in flight, ${maxInFlight} are allowed`);
    steps.forEach(({ forEach }, step) => {
      if (forEach === undefined) return;
      const items = this.flights.filter(({ command }) => itemsOf(command) !== undefined && 'step' in command && command.step === step).length;
      const state = this.state.steps[step];
      const waiting = state?.status === 'items' ? state.items.waiting.length : 0;
      if (items + waiting > forEach.concurrency) throw new Error(`${items} items of step ${step} in flight, ${forEach.concurrency} are allowed`);
      const windows = this.windows.filter((window) => window.step === step);
      const shares = windows.reduce((sum, window) => sum + window.concurrency, 0);
      const flying = windows.reduce((sum, window) => sum + (window.maxInFlight ?? window.concurrency), 0);
      if (shares > forEach.concurrency || flying > maxInFlight) throw new Error(`the windows of step ${step} may have ${flying} items in flight`);
    });
  }

  /** Whoever looks at a run of which only waits are left must see that it waits. */
  private checkSaysWaiting(): void {
    const quiet =
      this.flights.length === 0 && this.windows.length === 0 && this.inbox.length === 0 && !this.holding && !this.state.closing && !this.world.control.paused;
    const { undoing } = this.state;
    const waits =
      undoing === undefined
        ? this.state.steps.some(
            (state) => state.status === 'waiting' || state.status === 'uncertain' || (state.status === 'items' && state.items.waiting.length > 0),
          )
        : undoing.status === 'resting' && undoing.atMs === null;
    if (quiet && this.signals.length === 0 && waits && !this.world.saysWaiting) throw new Error('only waits are left and the run does not say so');
  }

  private checkEnd(): void {
    const expected = this.world.expected();
    const { closed, rows, cancelRequested } = this.world;
    if (closed === null) throw new Error('the workflow ended and the run is open');
    const mayStop = cancelRequested || this.endsAtMs !== null;
    const bad = expected.includes('f');
    rows.forEach(({ outcome }, step) => {
      // Nobody is asked about an uncertain step of a run that ends for another reason.
      const fine = outcome === null || (outcome === 'u' && (bad || mayStop)) || outcome === expected[step] || (outcome === 'c' && cancelRequested);
      if (!fine && !(mayStop && outcome === 'c')) throw new Error(`step ${step} ended as ${outcome}, expected was ${expected[step]}`);
    });
    if (closed === 'cancelled' && !cancelRequested) throw new Error('cancelled, and nobody asked for it');
    if (closed === 'succeeded' && rows.some(({ outcome }) => outcome === null || !'stk'.includes(outcome)))
      throw new Error('succeeded with steps that had not');
    if (mayStop) return;
    if (closed !== (bad ? 'failed' : 'succeeded'))
      throw new Error(`the run has ${closed}; expected outcomes were ${expected.map((outcome) => outcome ?? '.').join('')}`);
  }
}

const placeOf = ({ step, item }: { step: number; item?: number }): { step: number; item?: number } => (item === undefined ? { step } : { step, item });

const itemsOf = (command: Command): ItemRange | undefined => {
  if (command.do === 'batch') return [command.from, command.to];
  return 'item' in command && command.item !== undefined ? [command.item, command.item] : undefined;
};
