import { setImmediate as turn } from 'node:timers/promises';
import { outputIsInline } from '#services/runs/ledger/record-outcome.ts';
import type { DoneStep } from '#services/runs/ledger/record-pure-steps.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { effectOf } from './execute-step.ts';
import { type Attempted, attemptAhead, doneStep, recordDone } from './pure-step.ts';
import { isWhole, placeOfWork, type StepWork } from './step-work.ts';

/** Done and not yet on record, at most: what a lost worker lets another one do again. */
const aheadAtMost = 50;
/** What is quickly done may wait so long for company, ms: about what a commit takes. Whatever takes longer is sent at once. */
const lingerMs = 2;

export interface Ahead {
  /** So many of the first steps are on record. */
  recorded: number;
  /** What the next one came to, if it was tried: its work need not be done again. */
  attempted: Attempted | null;
}

/**
 * Goes along pure steps (or items of one) without waiting for the record of each: while one transaction is on its way, the next steps are done, and then recorded together. A
 * single commit costs ten times what a transform does. Nobody outside sees a difference: a step changes nothing outside, each has its row, events and
 * audit entry, they are recorded in their order, and all of a transaction or none. Stops at what does not go by the book.
 */
export async function goAhead(dependencies: RunActivityDependencies, works: readonly StepWork[], until: number): Promise<Ahead> {
  const record = new RecordBehind(dependencies);
  let attempted: Attempted | null = null;
  try {
    for (const work of works) {
      if (record.refused || performance.now() > until) break;
      attempted = await tryAhead(dependencies, work);
      // A large output stands in a row of its own: that is the long way.
      if (attempted === null || 'thrown' in attempted || !outputIsInline(attempted.performed.output)) break;
      await record.add(work, doneStep(placeOfWork(work), attempted));
      attempted = null;
    }
    return { recorded: await record.settle(), attempted: record.refused ? null : attempted };
  } finally {
    record.forgetUnrecorded();
  }
}

async function tryAhead(dependencies: RunActivityDependencies, work: StepWork): Promise<Attempted | null> {
  if (work.round !== undefined || work.undoes !== undefined || work.compiled.repeat !== null || effectOf(dependencies, work) !== 'pure') return null;
  const settings = 'tool' in work.compiled.definition ? await dependencies.toolSettings(work.claim.workspaceId) : undefined;
  return await attemptAhead(dependencies, work, placeOfWork(work), settings);
}

interface Unrecorded {
  work: StepWork;
  done: DoneStep;
}

/** One transaction at a time; what is done meanwhile goes with the next one. */
class RecordBehind {
  refused = false;
  private recorded = 0;
  private readonly dependencies: RunActivityDependencies;
  private waiting: Unrecorded[] = [];
  private onItsWay: Unrecorded[] = [];
  private sent: Promise<void> | null = null;
  /** Why the database could not say: thrown when all is to be settled, for nobody listens before. */
  private failure: { cause: unknown } | null = null;

  constructor(dependencies: RunActivityDependencies) {
    this.dependencies = dependencies;
  }

  /** Those who come after see the output at once; it is forgotten again if it cannot be recorded. */
  async add(work: StepWork, done: DoneStep): Promise<void> {
    if (isWhole(work)) work.known.addOutput(work.compiled.id, done.output);
    this.waiting.push({ work, done });
    if (this.waiting.length >= aheadAtMost) await this.sent;
    const oldest = this.waiting.at(0)?.done.begunAt ?? Infinity;
    // The run's end goes with the last record.
    if (work.alsoAtEnd !== undefined || (this.sent === null && performance.now() - oldest < lingerMs)) return;
    this.sent ??= this.send();
    // Evaluating alone never lets go of this thread: neither this record nor a heartbeat would leave it.
    await turn();
  }

  /** All is on record, or refused. Answers how many are. */
  async settle(): Promise<number> {
    await this.sent;
    await this.send();
    if (this.failure !== null) throw this.failure.cause;
    return this.recorded;
  }

  forgetUnrecorded(): void {
    for (const { work } of [...this.onItsWay, ...this.waiting]) if (isWhole(work)) work.known.forgetOutput(work.compiled.id);
  }

  private async send(): Promise<void> {
    for (let last = this.waiting.at(-1); last !== undefined && !this.refused; last = this.waiting.at(-1)) {
      this.onItsWay = this.waiting;
      this.waiting = [];
      const steps = this.onItsWay.map(({ done }) => done);
      try {
        this.refused = !(await recordDone(this.dependencies, last.work, steps));
      } catch (cause) {
        this.refused = true;
        this.failure = { cause };
      }
      if (this.refused) return;
      this.recorded += steps.length;
      this.onItsWay = [];
    }
    this.sent = null;
  }
}
