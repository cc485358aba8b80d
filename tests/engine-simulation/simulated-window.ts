import { decideWindow, type WindowEvent, type WindowState } from '#core/engine/decide-window.ts';
import { type Control, noControl } from '#core/engine/control.ts';
import type { Command } from '#core/engine/decide.ts';
import type { UnitResult } from '#core/engine/outcome.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/** A window of a large `forEach`, as its own workflow would be. */
export class SimulatedWindow {
  readonly step: number;
  readonly from: number;
  readonly concurrency: number;
  over = false;
  wakeAtMs: number | null = null;
  inFlight: { item: number; doneAtMs: number }[] = [];
  private readonly to: number;
  private readonly world: World;
  private readonly random: Random;
  private readonly mayHang: boolean;
  private readonly inbox: WindowEvent[] = [];
  private state: WindowState;

  constructor(command: Extract<Command, { do: 'startWindow' }>, place: { world: World; random: Random; mayHang: boolean }, nowMs: number) {
    this.step = command.step;
    this.from = command.from;
    this.to = command.to;
    this.concurrency = command.concurrency;
    this.world = place.world;
    this.random = place.random;
    this.mayHang = place.mayHang;
    this.state = this.load(nowMs);
    this.decide(nowMs);
  }

  get failed(): boolean {
    return this.state.items.failed;
  }

  stop(cancel: boolean, nowMs: number): void {
    this.inbox.push({ what: 'stop' });
    // Cancelled items end early; the world says how.
    if (cancel) this.inFlight = this.inFlight.map(({ item }) => ({ item, doneAtMs: nowMs }));
  }

  tell(control: Control): void {
    this.inbox.push({ what: 'control', control });
  }

  get hasNews(): boolean {
    return this.inbox.length > 0;
  }

  /** Lets time pass up to `nowMs`. */
  pass(nowMs: number): void {
    if (this.over) return;
    const done = this.inFlight.filter(({ doneAtMs }) => doneAtMs <= nowMs);
    this.inFlight = this.inFlight.filter(({ doneAtMs }) => doneAtMs > nowMs);
    for (const { item } of done) {
      const result: UnitResult = this.world.executeItem(this.step, item, false, nowMs);
      this.inbox.push({ what: 'item', item, result });
    }
    if (this.inFlight.length === 0 && this.inbox.length === 0 && this.random.chance(0.05)) this.state = { ...this.load(nowMs), stopped: this.state.stopped };
    this.decide(nowMs);
  }

  private load(nowMs: number): WindowState {
    const loaded = this.world.loadWindow(this.step, this.from, this.to, nowMs);
    const retrying = loaded.retrying.map(({ item, inMs }) => ({ item, atMs: nowMs + inMs }));
    const items = {
      count: this.to - this.from + 1,
      concurrency: this.concurrency,
      unstarted: loaded.unfinished,
      inFlight: [],
      retrying,
      windows: null,
      failed: loaded.failed,
    };
    return { items, stopped: false, superseded: false, control: noControl };
  }

  private decide(nowMs: number): void {
    const decision = decideWindow(this.state, this.inbox.splice(0), nowMs, false);
    this.state = decision.state;
    this.over = decision.over;
    this.wakeAtMs = decision.wakeAtMs;
    if (decision.start.length > 50) throw new Error(`a window started ${decision.start.length} items at once`);
    for (const item of decision.start) {
      const hangs = this.mayHang && this.random.chance(0.01);
      this.inFlight.push({ item, doneAtMs: hangs ? Number.POSITIVE_INFINITY : nowMs + this.random.between(1, 200) });
    }
    if (this.inFlight.length > this.concurrency) throw new Error(`a window has ${this.inFlight.length} items in flight, ${this.concurrency} are allowed`);
  }
}
