import type { UndoResult } from '#core/engine/compensation.ts';
import type { Ending } from '#core/engine/state.ts';
import type { SimulatedPlan } from './random-plan.ts';
import type { Random } from './random.ts';

/** Something that was done and can be taken back: a step, or an item of one. */
export interface Undoable {
  key: string;
  step: number;
  /** The number of its end among those of the run. */
  endedAs: number;
  /** A person is to say whether it happened. */
  uncertain: boolean;
}

interface UndoRow {
  failures: number;
  retryAtMs: number | null;
  outcome: 's' | 'f' | 'u' | null;
  byHand: boolean;
}

/** The rows of undos, and what takes them on. Complains when what the engine asks for breaks a promise. */
export class SimulatedUndos {
  /** Null: the run has not begun to undo. */
  ending: Ending | null = null;
  /** Keys of what was undone or given up, in the order in which that was. */
  readonly order: { key: string; endedAs: number }[] = [];
  private readonly rows = new Map<string, UndoRow>();
  private readonly plan: SimulatedPlan;
  private readonly random: Random;

  constructor(plan: SimulatedPlan, random: Random) {
    this.plan = plan;
    this.random = random;
  }

  /** A batch of undos, the last end first. */
  work(undoables: readonly Undoable[], nowMs: number): UndoResult {
    let left = this.random.between(1, 5);
    for (const undoable of [...undoables].sort((one, other) => other.endedAs - one.endedAs)) {
      const row = this.row(undoable.key);
      if (row.outcome === 's' || row.outcome === 'f') continue;
      if (undoable.uncertain || row.outcome === 'u') return { waits: true };
      if (left === 0) return { retryInMs: 0 };
      left -= 1;
      const result = this.attempt(undoable, row, nowMs);
      if (result !== null) return result;
    }
    return { done: true };
  }

  /** Null: it has ended. */
  private attempt({ key, step, endedAs }: Undoable, row: UndoRow, nowMs: number): UndoResult | null {
    const behaviour = this.plan.steps[step]?.undo;
    if (behaviour === undefined || behaviour === null) throw new Error(`step ${step} has no undo`);
    if (row.retryAtMs !== null && row.retryAtMs > nowMs) return { retryInMs: row.retryAtMs - nowMs };
    row.retryAtMs = null;
    if (row.failures < behaviour.failures) {
      row.failures += 1;
      row.retryAtMs = nowMs + this.random.between(0, 800);
      return { retryInMs: row.retryAtMs - nowMs };
    }
    if (behaviour.last === 'uncertain' && !row.byHand) {
      row.outcome = 'u';
      return { waits: true };
    }
    row.outcome = behaviour.last === 'bad' ? 'f' : 's';
    this.order.push({ key, endedAs });
    return null;
  }

  private row(key: string): UndoRow {
    const known = this.rows.get(key) ?? { failures: 0, retryAtMs: null, outcome: null, byHand: false };
    this.rows.set(key, known);
    return known;
  }

  uncertain(): string[] {
    return [...this.rows].filter(([, { outcome }]) => outcome === 'u').map(([key]) => key);
  }

  /** Happened, or to be tried again. */
  resolve(key: string): void {
    const row = this.row(key);
    row.byHand = true;
    row.outcome = null;
  }

  /** Everything that was done is undone, or was tried to the end, in the reverse of the order in which it ended. */
  checkClose(undoables: readonly Undoable[]): void {
    const open = undoables.find(({ key }) => !['s', 'f'].includes(this.rows.get(key)?.outcome ?? ''));
    if (open !== undefined) throw new Error(`the run was closed and ${open.key} was not undone`);
    if (this.order.length !== undoables.length) throw new Error(`${this.order.length} undos of ${undoables.length} things that were done`);
    this.order.forEach(({ key, endedAs }, position) => {
      const before = this.order[position - 1];
      if (before !== undefined && before.endedAs < endedAs) throw new Error(`${key} ended after ${before.key}, and was undone after it`);
    });
  }
}
