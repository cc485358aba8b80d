import { decideWindow, restoreWindow, type WindowEvent, type WindowState } from '#core/engine/decide-window.ts';
import type { Control } from '#core/engine/control.ts';
import { currentRules } from '#core/engine/decide.ts';
import type { Command } from '#core/engine/decide.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/** A window of a large `forEach`, as its own workflow would be. */
export class SimulatedWindow {
  readonly step: number;
  readonly from: number;
  readonly concurrency: number;
  over = false;
  wakeAtMs: number | null = null;
  /** `settles`: its wait is looked at. */
  inFlight: { item: number; doneAtMs: number; settles?: string }[] = [];
  readonly to: number;
  readonly maxInFlight: number | undefined;
  readonly quick: boolean;
  batch: { from: number; to: number; doneAtMs: number } | null = null;
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
    this.maxInFlight = command.maxInFlight;
    this.quick = command.quick === true;
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
    if (!cancel) return;
    this.inFlight = this.inFlight.map((flight) => ({ ...flight, doneAtMs: nowMs }));
    if (this.batch !== null) this.batch = { ...this.batch, doneAtMs: nowMs };
  }

  /** A Signal tells of a decision. */
  tellDecision(waitId: string): void {
    this.inbox.push({ what: 'decision', waitId });
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
    for (const { item, settles } of done) this.inbox.push(this.execute(item, settles, nowMs));
    this.finishBatch(nowMs);
    if (this.inFlight.length === 0 && this.batch === null && this.inbox.length === 0 && this.random.chance(0.05))
      this.state = { ...this.load(nowMs), stopped: this.state.stopped };
    this.decide(nowMs);
  }

  private finishBatch(nowMs: number): void {
    if (this.batch === null || this.batch.doneAtMs > nowMs) return;
    const { from, to } = this.batch;
    this.batch = null;
    this.inbox.push({ what: 'batch', from, to, result: this.world.executeBatch(this.step, from, to, nowMs) });
  }

  private execute(item: number, settles: string | undefined, nowMs: number): WindowEvent {
    const { world, step } = this;
    if (settles !== undefined) return { what: 'waitSettled', item, result: world.settleWait(step, item, settles, nowMs) };
    if (this.maxInFlight !== undefined) return { what: 'waitOpened', item, result: world.openWait(step, item, false, nowMs) };
    return { what: 'item', item, result: world.executeItem(step, item, false, nowMs) };
  }

  private load(nowMs: number): WindowState {
    return restoreWindow(this.world.loadWindow(this.step, this.from, this.to, nowMs), this, nowMs, currentRules);
  }

  private decide(nowMs: number): void {
    const decision = decideWindow(this.state, this.inbox.splice(0), nowMs, false);
    this.state = decision.state;
    this.over = decision.over;
    this.wakeAtMs = decision.wakeAtMs;
    if (decision.start.length + decision.settle.length > 50) throw new Error(`a window started ${decision.start.length} items at once`);
    if (decision.markWaiting) this.world.markWaiting();
    for (const { item, waitId } of decision.settle) this.inFlight.push({ item, doneAtMs: nowMs + this.random.between(1, 200), settles: waitId });
    for (const item of decision.start) {
      const hangs = this.mayHang && this.maxInFlight === undefined && this.random.chance(0.01);
      this.inFlight.push({ item, doneAtMs: hangs ? Number.POSITIVE_INFINITY : nowMs + this.random.between(1, 200) });
    }
    if (decision.batch !== null) {
      if (this.batch !== null) throw new Error('a window has two batches under way');
      const [from, to] = decision.batch;
      this.batch = { from, to, doneAtMs: nowMs + this.random.between(1, 200) };
    }
    const atMost = this.maxInFlight ?? this.concurrency;
    if (this.inFlight.filter(({ settles }) => settles === undefined).length + (this.batch === null ? 0 : 1) > atMost)
      throw new Error(`a window has ${this.inFlight.length} items in flight, ${atMost} are allowed`);
  }
}
