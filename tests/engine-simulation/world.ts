import type { UndoResult } from '#core/engine/compensation.ts';
import { type Control, noControl } from '#core/engine/control.ts';
import type { ControlReading } from '#core/engine/control-reading.ts';
import {
  type BatchResult,
  type ItemRange,
  type ItemsJoined,
  type ItemsOpened,
  notEnded,
  type Outcome,
  type StepsSkipped,
  type UnitResult,
  type WaitOpened,
} from '#core/engine/outcome.ts';
import type { Ending, StoredProgress } from '#core/engine/state.ts';
import type { StoredWindow } from '#core/engine/decide-window.ts';
import { skipsThatStand } from '#core/engine/readiness.ts';
import { windowSize } from '#core/engine/items.ts';
import { SimulatedUndos, type Undoable } from './simulated-undos.ts';
import { type Behaviour, expectedOutcomes, isSkippedByNeed, type SimulatedPlan, type SimulatedStep, type SimulatedWait } from './random-plan.ts';
import type { Random } from './random.ts';

/** One try at something: its outcome, or when it is to be tried again. */
interface Tried {
  outcome: Outcome | null;
  retryInMs: number | null;
}

interface Trial {
  outcome: Outcome | null;
  /** Failed attempts on record. */
  failures: number;
  /** Rounds on record, the last one left out. */
  rounds: number;
  retryAtMs: number | null;
  wait: WaitRow | null;
  /** A person has said what came of it. */
  byHand?: true;
  /** A person has ended it, whatever it would have come to. */
  endedByHand?: 's' | 'k';
  /** The number of its end among those of the run, which is what the order of undoing goes by. */
  endedAs?: number;
}

interface WaitRow {
  id: string;
  openedAtMs: number;
  endsAtMs: number;
  /** Of a wait until a condition: when it is looked at next, and how often it was. */
  nextLookMs: number;
  looks: number;
  decided: 'approve' | 'deny' | null;
}

/** A step, or an item of one, that nobody works on and a person can end. */
export interface Endable {
  step: number;
  item: number | null;
  waitId: string | null;
}

interface StepRow extends Trial {
  items: Trial[] | null;
}

/** A wait that somebody may decide. */
export interface OpenDecision {
  step: number;
  item: number | null;
  waitId: string;
  answer: 'approve' | 'deny';
  atMs: number;
}

/** A trial whose effect may have happened. */
interface Doubt {
  row: StepRow;
  trial: Trial;
  answer: Behaviour['resolution']['answer'];
  atMs: number;
}

/**
 * What Postgres and the activities are to a run, as little of it as the engine can tell. Every method is one activity in one transaction, and
 * complains when the engine asked for something that the specification forbids.
 */
export class World {
  readonly rows: StepRow[];
  closed: 'succeeded' | 'failed' | 'cancelled' | null = null;
  cancelRequested = false;
  saysWaiting = false;
  control: Control = noControl;
  private doubts: Doubt[] = [];
  /** What takes back what the run did. */
  readonly undos: SimulatedUndos;
  private ends = 0;
  private readonly plan: SimulatedPlan;
  private readonly random: Random;
  /** How often the run was retried. */
  private retries = 0;

  constructor(plan: SimulatedPlan, random: Random) {
    this.plan = plan;
    this.random = random;
    this.rows = plan.steps.map(() => ({ ...unstarted, items: null }));
    this.undos = new SimulatedUndos(plan, random);
  }

  executeUnit(steps: number[], alone: boolean, closes: boolean, nowMs: number): UnitResult {
    this.saysWaiting = false;
    let outcomes = '';
    for (const step of steps) {
      if (this.control.paused && this.row(step).outcome === null) return { outcomes, heldAt: this.control.version };
      const tried = this.tryStep(step, step === steps[0], nowMs);
      if (tried.retryInMs !== null) {
        this.saysWaiting = alone;
        return { outcomes, retryInMs: tried.retryInMs };
      }
      outcomes += tried.outcome ?? '';
      const goesOn = tried.outcome !== null && 'stk'.includes(tried.outcome);
      if (goesOn && closes && step === steps.at(-1)) {
        this.complainUnless(
          this.rows.every((row) => row.outcome !== null),
          'a unit closed the run while steps were open',
        );
        this.closed = 'succeeded';
        return { outcomes, closed: true };
      }
      // A chain may give its worker back after any step.
      if (!goesOn || this.random.chance(0.1)) break;
    }
    return { outcomes };
  }

  private tryStep(step: number, head: boolean, nowMs: number): Tried {
    const row = this.row(step);
    if (row.outcome !== null) return { outcome: row.outcome, retryInMs: null };
    if (this.cancelRequested) return this.end(row, 'c');
    const verdict = this.needsOf(step);
    this.complainUnless(verdict !== 'blocked', `step ${step} was started before its needs had ended`);
    this.complainUnless(verdict === 'ready' || !head, `step ${step} was started though a need of it was skipped`);
    const simulated = this.simulated(step);
    if (verdict === 'skip' || !simulated.when || this.isDenied(step)) return this.end(row, 'k');
    return this.attempt(row, row, simulated.behaviour, this.shape(step).tolerated === true, nowMs);
  }

  private attempt(row: StepRow, trial: Trial, behaviour: Behaviour, tolerated: boolean, nowMs: number): Tried {
    this.complainUnless(trial.retryAtMs === null || trial.retryAtMs <= nowMs, 'an attempt began before its time');
    if (trial.rounds < behaviour.rounds) return this.doRounds(trial, behaviour.rounds, nowMs);
    if (trial.failures < behaviour.failures) {
      trial.failures += 1;
      const retryInMs = this.random.chance(0.3) ? 0 : this.random.between(1, 800);
      trial.retryAtMs = nowMs + retryInMs;
      return { outcome: null, retryInMs };
    }
    trial.retryAtMs = null;
    if (behaviour.last !== 'uncertain' || trial.byHand === true) return this.end(trial, behaviour.last === 'bad' ? (tolerated ? 't' : 'f') : 's');
    this.doubts.push({ row, trial, answer: behaviour.resolution.answer, atMs: nowMs + behaviour.resolution.afterMs });
    return this.end(trial, 'u');
  }

  /** A batch of rounds, and the pause behind it: none where the batch was full. */
  private doRounds(trial: Trial, rounds: number, nowMs: number): Tried {
    trial.rounds = Math.min(rounds, trial.rounds + this.random.between(1, 4));
    const retryInMs = this.random.chance(0.5) ? 0 : this.random.between(1, 800);
    trial.retryAtMs = nowMs + retryInMs;
    return { outcome: null, retryInMs };
  }

  /** What nobody can vouch for, and when its person will say what came of it. */
  uncertain(): { atMs: number; resolve: () => void }[] {
    return this.doubts.map((doubt) => ({ atMs: doubt.atMs, resolve: () => this.resolve(doubt) }));
  }

  private resolve(doubt: Doubt): void {
    const { row, trial, answer } = doubt;
    this.doubts = this.doubts.filter((other) => other !== doubt);
    trial.byHand = row.byHand = true;
    trial.outcome = answer === 'happened' ? 's' : answer === 'skip' ? 'k' : null;
    // Of a run that goes back, it keeps its place among what is undone.
    if (this.undos.ending === null) {
      this.ends += 1;
      trial.endedAs = this.ends;
    }
    // A `forEach` is uncertain for its items.
    if (row !== trial && row.outcome === 'u' && !this.doubts.some((other) => other.row === row)) row.outcome = null;
    this.control = { ...this.control, version: this.control.version + 1 };
  }

  /** What the workflow finds when it looks at the run. */
  readControl(): ControlReading {
    const byHand = this.rows.flatMap(({ byHand, outcome, items }, step) =>
      byHand === true
        ? [{ step, outcome, items: items === null ? null : { count: items.length, unfinished: rangesOf(items, (item) => item.outcome === null) } }]
        : [],
    );
    return { cancelRequested: this.cancelRequested, ...this.control, byHand };
  }

  private end(trial: Trial, outcome: Outcome): Tried {
    trial.outcome = outcome;
    this.ends += 1;
    trial.endedAs = this.ends;
    trial.retryAtMs = null;
    return { outcome, retryInMs: null };
  }

  /** What every step comes to, by what is known of the plan and of what people did until now. */
  expected(): (Outcome | null)[] {
    return expectedOutcomes(this.plan, {
      ofStep: (step) => this.row(step).endedByHand ?? null,
      ofItem: (step, item) => this.row(step).items?.[item]?.endedByHand ?? null,
    });
  }

  /** What a person could override or skip: approvals and sub-plans end by what they wait for, an open `forEach` by its items. */
  endable(): Endable[] {
    if (this.closed !== null || this.cancelRequested || this.undos.ending !== null) return [];
    return this.rows.flatMap(({ outcome, items, wait }, step): Endable[] => {
      const { kind } = this.shape(step);
      // What a skipped need takes with it is left alone: its skip, and that of what needs it, may be on its way.
      if (outcome !== null || kind === 'approval' || kind === 'plan' || isSkippedByNeed(this.shape(step), this.outcomeOf)) return [];
      if (items === null) return [{ step, item: null, waitId: wait?.id ?? null }];
      return items.slice(0, 3).flatMap((trial, item) => (trial.outcome === null ? [{ step, item, waitId: trial.wait?.id ?? null }] : []));
    });
  }

  endByHand({ step, item }: Endable, outcome: 's' | 'k'): void {
    const trial = this.trial(step, item ?? undefined);
    trial.endedByHand = outcome;
    if (item === null) this.row(step).byHand = true;
    this.end(trial, outcome);
    this.control = { ...this.control, version: this.control.version + 1 };
  }

  /** The run goes on with what failed or was cut off; some of that fares better now. Whoever ran it before has nothing more to do. */
  retry(): void {
    this.retries += 1;
    this.closed = null;
    this.cancelRequested = false;
    this.control = { version: this.control.version + 1, paused: false };
    this.rows.forEach((row, step) => {
      // A `forEach` that the end found open was cut off with its items.
      const cutOff = row.outcome === null && row.items !== null;
      if (!cutOff && row.outcome !== 'f' && row.outcome !== 'c') return;
      const simulated = this.simulated(step);
      row.items?.forEach((trial, item) => {
        if (trial.outcome !== 'f' && trial.outcome !== 'c') return;
        Object.assign(trial, unstarted);
        this.mend(simulated.items?.[item], simulated.itemWaits?.[item]);
      });
      Object.assign(row, unstarted);
      if (row.items === null) this.mend(simulated.behaviour, simulated);
    });
  }

  private mend(behaviour: Behaviour | undefined, wait: SimulatedWait | undefined): void {
    if (this.random.chance(0.3)) return;
    if (behaviour?.last === 'bad') behaviour.last = 'good';
    if (wait !== undefined) wait.decision = { ...wait.decision, answer: 'approve' };
    if (wait !== undefined && Number.isFinite(wait.openMs) && wait.openMs < 100_000 && wait.looks === null) wait.openMs = 100_000;
  }

  setPaused(paused: boolean): void {
    this.control = { version: this.control.version + 1, paused };
    this.saysWaiting = false;
  }

  openItems(step: number): ItemsOpened {
    this.saysWaiting = false;
    const row = this.row(step);
    if (row.outcome !== null) return { outcome: row.outcome };
    if (this.control.paused) return { heldAt: this.control.version };
    this.complainUnless(this.needsOf(step) === 'ready', `the items of step ${step} were opened before its needs had ended`);
    const simulated = this.simulated(step);
    if (!simulated.when || this.isDenied(step)) return { outcome: this.end(row, 'k').outcome ?? 'k' };
    row.items ??= (simulated.items ?? simulated.itemWaits ?? []).map(() => ({ ...unstarted }));
    return { count: row.items.length };
  }

  executeItem(step: number, item: number, alone: boolean, nowMs: number): UnitResult {
    this.saysWaiting = false;
    const trial = this.row(step).items?.[item];
    const behaviour = this.simulated(step).items?.[item];
    if (trial === undefined || behaviour === undefined) throw new Error(`step ${step} has no item ${item}`);
    if (trial.outcome !== null) return { outcomes: trial.outcome };
    if (this.control.paused) return { outcomes: '', heldAt: this.control.version };
    if (this.cancelRequested) return { outcomes: this.end(trial, 'c').outcome ?? 'c' };
    const tried = this.attempt(this.row(step), trial, behaviour, this.shape(step).tolerated === true, nowMs);
    if (tried.retryInMs === null) return { outcomes: tried.outcome ?? '' };
    this.saysWaiting = alone;
    return { outcomes: '', retryInMs: tried.retryInMs };
  }

  /** One after another, as long as there is time. Its worker may be lost in between: then it is begun anew, and finds what is on record. */
  executeBatch(step: number, from: number, to: number, nowMs: number): BatchResult {
    if (this.random.chance(0.1)) this.workThrough(step, [from, from + this.random.between(0, to - from)], nowMs);
    return this.workThrough(step, [from, to], nowMs);
  }

  private workThrough(step: number, [from, to]: ItemRange, nowMs: number): BatchResult {
    const retries: NonNullable<BatchResult['retries']> = [];
    let outcomes = '';
    for (let item = from; item <= to; item += 1) {
      if (item > from && this.random.chance(0.002)) return { outcomes, retries, ...(this.random.chance(0.5) ? { cut: true } : {}) };
      const trial = this.trial(step, item);
      const isLater = trial.outcome === null && trial.retryAtMs !== null && trial.retryAtMs > nowMs;
      const result: UnitResult = isLater ? { outcomes: '', retryInMs: (trial.retryAtMs ?? 0) - nowMs } : this.executeItem(step, item, false, nowMs);
      if (result.heldAt !== undefined) return { outcomes, retries, heldAt: result.heldAt };
      if (result.retryInMs !== undefined) retries.push({ position: outcomes.length, inMs: result.retryInMs });
      outcomes += result.retryInMs === undefined ? result.outcomes : notEnded;
      if (result.outcomes !== '' && 'fuc'.includes(result.outcomes)) break;
    }
    return { outcomes, ...(retries.length === 0 ? {} : { retries }) };
  }

  joinItems(step: number, closes: boolean): ItemsJoined {
    const row = this.row(step);
    if (row.outcome !== null) return { outcomes: row.outcome };
    const items = row.items ?? [];
    if (items.some(({ outcome }) => outcome === 'f')) return { outcomes: this.end(row, 'f').outcome ?? 'f' };
    const unfinished = rangesOf(items, ({ outcome }) => outcome === null);
    if (unfinished.length > 0) return { outcomes: '', unfinished };
    if (items.some(({ outcome }) => outcome === 'u')) return { outcomes: this.end(row, 'u').outcome ?? 'u' };
    if (items.some(({ outcome }) => outcome === 'c')) return { outcomes: this.end(row, 'c').outcome ?? 'c' };
    this.end(row, 's');
    if (!closes) return { outcomes: 's' };
    this.complainUnless(
      this.rows.every(({ outcome }) => outcome !== null),
      'a join closed the run while steps were open',
    );
    this.closed = 'succeeded';
    return { outcomes: 's', closed: true };
  }

  openWait(step: number, item: number | undefined, alone: boolean, nowMs: number): WaitOpened {
    this.saysWaiting = false;
    const trial = this.trial(step, item);
    if (trial.outcome !== null) return { outcome: trial.outcome };
    if (this.control.paused) return { heldAt: this.control.version };
    if (trial.wait === null) {
      const simulated = this.simulated(step);
      if (item === undefined) {
        this.complainUnless(this.needsOf(step) === 'ready', `the wait of step ${step} was opened before its needs had ended`);
        if (!simulated.when || this.isDenied(step)) return { outcome: this.end(trial, 'k').outcome ?? 'k' };
      }
      const wait = this.waitOf(step, item);
      if (wait.early) return { outcome: this.end(trial, 's').outcome ?? 's' };
      this.complainUnless(trial.retryAtMs === null || trial.retryAtMs <= nowMs, 'another run was started before its time');
      trial.retryAtMs = null;
      const name = `wait-${step}${item === undefined ? '' : `-${item}`}${this.retries === 0 ? '' : `-again-${this.retries}`}`;
      trial.wait = {
        id: trial.failures === 0 ? name : `${name}#${trial.failures}`,
        openedAtMs: nowMs,
        endsAtMs: nowMs + wait.openMs,
        nextLookMs: wait.looks === null ? never : nowMs,
        looks: 0,
        decided: null,
      };
    }
    this.saysWaiting = alone;
    return { waitId: trial.wait.id, endsInMs: leftOf(trial.wait, nowMs) };
  }

  settleWait(step: number, item: number | undefined, waitId: string, nowMs: number): WaitOpened {
    const trial = this.trial(step, item);
    const { wait } = trial;
    if (wait === null || wait.id !== waitId) throw new Error(`step ${step} has no wait ${waitId}`);
    if (trial.outcome !== null) return { outcome: trial.outcome };
    const { looks } = this.waitOf(step, item);
    if (looks !== null && wait.endsAtMs > nowMs) {
      if (this.control.paused) return { heldAt: this.control.version };
      if (wait.nextLookMs > nowMs) return { waitId, endsInMs: leftOf(wait, nowMs) };
      wait.looks += 1;
      wait.nextLookMs = nowMs + this.random.between(1, 500);
      if (wait.looks <= looks) return { waitId, endsInMs: leftOf(wait, nowMs) };
    } else if (wait.decided === null && wait.endsAtMs > nowMs) return { waitId, endsInMs: leftOf(wait, nowMs) };
    this.saysWaiting = false;
    const shape = this.shape(step);
    if (trial.failures < this.waitOf(step, item).failures) return this.failSubRun(trial, nowMs);
    const good = shape.kind === 'wait' || wait.decided === 'approve' || (shape.kind !== 'plan' && this.simulated(step).onDenyContinue);
    return { outcome: this.end(trial, good ? 's' : shape.tolerated === true ? 't' : 'f').outcome ?? 's' };
  }

  private failSubRun(trial: Trial, nowMs: number): WaitOpened {
    trial.failures += 1;
    trial.wait = null;
    const retryInMs = this.random.chance(0.3) ? 0 : this.random.between(1, 800);
    trial.retryAtMs = nowMs + retryInMs;
    return { retryInMs };
  }

  /** Somebody decides, if the wait is still open. */
  decide({ step, item, answer }: OpenDecision, nowMs: number): void {
    const { wait, outcome } = this.trial(step, item ?? undefined);
    if (wait !== null && outcome === null && wait.endsAtMs > nowMs) wait.decided ??= answer;
  }

  openDecisions(): OpenDecision[] {
    return this.rows.flatMap((row, step) => {
      if (this.shape(step).kind === 'wait') return [];
      const own = this.openDecision(row, step, null);
      // Most lists are long and wait for nobody.
      if (row.items === null || row.outcome !== null || this.simulated(step).itemWaits === null) return own;
      return [...own, ...row.items.flatMap((trial, item) => this.openDecision(trial, step, item))];
    });
  }

  private openDecision({ wait, outcome }: Trial, step: number, item: number | null): OpenDecision[] {
    if (wait === null || outcome !== null || wait.decided !== null) return [];
    const { decision } = this.waitOf(step, item ?? undefined);
    if (decision.answer === 'silence') return [];
    return [{ step, item, waitId: wait.id, answer: decision.answer, atMs: wait.openedAtMs + decision.afterMs }];
  }

  private waitOf(step: number, item: number | undefined): SimulatedWait {
    const simulated = this.simulated(step);
    const wait = item === undefined ? simulated : simulated.itemWaits?.[item];
    if (wait === undefined) throw new Error(`step ${step} has no item ${item}`);
    return wait;
  }

  private trial(step: number, item: number | undefined): Trial {
    const row = this.row(step);
    const trial = item === undefined ? row : row.items?.[item];
    if (trial === undefined) throw new Error(`step ${step} has no item ${item}`);
    return trial;
  }

  /** Decided before the workflow had heard of what a person has made of one of them, or of a need, a skip does not stand. */
  skip(steps: readonly number[]): StepsSkipped {
    this.saysWaiting = false;
    const standing = skipsThatStand(this.plan.shape, steps, this.outcomeOf);
    const expected = this.expected();
    for (const step of standing) {
      this.complainUnless(expected[step] === 'k', `step ${step} was skipped though none of its needs was`);
      this.end(this.row(step), 'k');
    }
    const goOn = steps.filter((step) => this.row(step).outcome === null);
    const because = goOn.flatMap((step) =>
      this.shape(step).needs.flatMap((need) => {
        const { outcome } = this.row(need);
        return outcome === null || outcome === 'k' ? [] : [{ step: need, outcome }];
      }),
    );
    return { superseded: false, outcomes: steps.map((step) => this.row(step).outcome ?? notEnded).join(''), because };
  }

  markWaiting(): void {
    const open = ({ wait, outcome }: Trial): boolean => wait !== null && outcome === null;
    if (!this.control.paused && this.rows.some((row) => open(row) || row.outcome === 'u' || row.items?.some(open) === true)) this.saysWaiting = true;
  }

  /** The order in which they ended, and whether a person is still to say whether they did. */
  private undoables(): Undoable[] {
    return this.rows.flatMap((row, step) => {
      if (this.simulated(step).undo === null) return [];
      return (row.items ?? [row]).flatMap((trial, index): Undoable[] => {
        const { outcome, endedAs = 0 } = trial;
        if (outcome !== 's' && outcome !== 'u') return [];
        return [{ key: row.items === null ? `${step}` : `${step}[${index}]`, step, endedAs, uncertain: outcome === 'u' }];
      });
    });
  }

  undo(ending: Ending, nowMs: number): UndoResult {
    if (this.closed !== null) return { superseded: true };
    this.saysWaiting = false;
    this.undos.ending = ending;
    if (this.control.paused) return { heldAt: this.control.version };
    const result = this.undos.work(this.undoables(), nowMs);
    if ('waits' in result) this.saysWaiting = true;
    return result;
  }

  /** A person has said what came of an undo. */
  resolveUndo(key: string): void {
    this.undos.resolve(key);
    this.control = { ...this.control, version: this.control.version + 1 };
  }

  close(ending: Ending | null): void {
    if (this.closed !== null) return;
    if (ending !== null) this.undos.checkClose(this.undoables());
    if (ending === null)
      this.complainUnless(
        this.rows.every((row) => row.outcome !== null),
        'the run was closed while steps were open',
      );
    this.closed = ending === null ? 'succeeded' : ending === 'cancelled' ? 'cancelled' : 'failed';
  }

  /** What a new generation is told. */
  progress(nowMs: number, endsAtMs: number | null): StoredProgress {
    const open = this.rows.flatMap((row, step) => (row.items !== null && row.outcome === null ? [{ step, items: row.items }] : []));
    return {
      outcomes: this.rows.map((row) => row.outcome ?? '.').join(''),
      retrying: [
        ...this.rows.flatMap((row, step) => (row.retryAtMs !== null && row.outcome === null ? [{ step, item: null, inMs: row.retryAtMs - nowMs }] : [])),
        ...open.filter(({ items }) => items.length <= windowSize).flatMap(({ step, items }) => retryingOf(items, nowMs).map((entry) => ({ step, ...entry }))),
      ],
      waits: [
        ...this.rows.flatMap((row, step) => waitingOf([row], nowMs).map(({ waitId, endsInMs }) => ({ step, waitId, endsInMs }))),
        ...open.filter(({ items }) => items.length <= windowSize).flatMap(({ step, items }) => waitingOf(items, nowMs).map((entry) => ({ step, ...entry }))),
      ],
      items: open.map(({ step, items }) => ({
        step,
        count: items.length,
        unfinished: rangesOf(items, (item) => item.outcome === null && (items.length > windowSize || isUnstarted(item))),
        failed: items.some(({ outcome }) => outcome === 'f'),
      })),
      cancelRequested: this.cancelRequested,
      ...(this.undos.ending === null ? {} : { ending: this.undos.ending }),
      control: this.control,
      endsInMs: endsAtMs === null ? null : endsAtMs - nowMs,
    };
  }

  /** What a window is told when it begins. */
  loadWindow(step: number, from: number, to: number, nowMs: number): StoredWindow {
    const items = this.row(step).items ?? [];
    const inside = (position: number): boolean => position >= from && position <= to;
    return {
      unfinished: rangesOf(items, (item, position) => inside(position) && item.outcome === null && isUnstarted(item)),
      retrying: retryingOf(items, nowMs).filter(({ item }) => inside(item)),
      waiting: waitingOf(items, nowMs).filter(({ item }) => inside(item)),
      superseded: false,
      failed: items.some(({ outcome }) => outcome === 'f'),
    };
  }

  private needsOf(step: number): 'ready' | 'blocked' | 'skip' {
    const shape = this.shape(step);
    const outcomes = shape.needs.map((need) => this.row(need).outcome);
    if (outcomes.some((outcome) => outcome === null || !'stk'.includes(outcome))) return 'blocked';
    return isSkippedByNeed(shape, this.outcomeOf) ? 'skip' : 'ready';
  }

  /** By what people did, where the plan only says what they would have done. */
  private isDenied(step: number): boolean {
    const { gate } = this.shape(step);
    if (gate === undefined) return false;
    if (this.row(gate).outcome !== 'k') return this.row(gate).wait?.decided !== 'approve';
    // One that is skipped with what it needs may be so on record before that is.
    return this.needsOf(gate) !== 'ready';
  }

  private readonly outcomeOf = (step: number): Outcome | null => this.row(step).outcome;

  private row(step: number): StepRow {
    const row = this.rows[step];
    if (row === undefined) throw new Error(`there is no step ${step}`);
    return row;
  }

  private shape(step: number): SimulatedPlan['shape']['steps'][number] {
    const shape = this.plan.shape.steps[step];
    if (shape === undefined) throw new Error(`there is no step ${step}`);
    return shape;
  }

  private simulated(step: number): SimulatedStep {
    const simulated = this.plan.steps[step];
    if (simulated === undefined) throw new Error(`there is no step ${step}`);
    return simulated;
  }

  private complainUnless(fine: boolean, complaint: string): void {
    if (!fine) throw new Error(complaint);
  }
}

const retryingOf = (items: readonly Trial[], nowMs: number): { item: number; inMs: number }[] =>
  items.flatMap(({ outcome, retryAtMs }, item) => (outcome === null && retryAtMs !== null ? [{ item, inMs: retryAtMs - nowMs }] : []));

const waitingOf = (items: readonly Trial[], nowMs: number): { item: number; waitId: string; endsInMs: number | null }[] =>
  items.flatMap(({ outcome, wait }, item) =>
    outcome === null && wait !== null ? [{ item, waitId: wait.id, endsInMs: wait.decided === null ? leftOf(wait, nowMs) : 0 }] : [],
  );

const never = Number.POSITIVE_INFINITY;

function leftOf(wait: WaitRow, nowMs: number): number | null {
  const nextMs = Math.min(wait.endsAtMs, wait.nextLookMs);
  return nextMs === never ? null : nextMs - nowMs;
}

const unstarted: Trial = { outcome: null, failures: 0, rounds: 0, retryAtMs: null, wait: null };

const isUnstarted = ({ retryAtMs, wait }: Trial): boolean => retryAtMs === null && wait === null;

/** The positions that are open, as inclusive ranges. */
function rangesOf(items: readonly Trial[], open: (item: Trial, position: number) => boolean): ItemRange[] {
  const ranges: [number, number][] = [];
  items.forEach((item, position) => {
    if (!open(item, position)) return;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === position - 1) last[1] = position;
    else ranges.push([position, position]);
  });
  return ranges;
}
