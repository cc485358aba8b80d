import { type BatchResult, notEnded, type Outcome, stopsTheRun } from '#core/engine/outcome.ts';
import { retryingItems } from '#services/runs/ledger/items.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { execute, nowhere } from './execute-chain.ts';
import { stepOf } from './items.ts';
import { goAhead } from './pure-chain.ts';
import type { StepWork } from './step-work.ts';
import type { WorkUnderWay } from './work-under-way.ts';

/** Items of one `forEach`, one after another; `to` is the last of them. */
export interface Batch {
  step: number;
  from: number;
  to: number;
  signal: AbortSignal;
  underWay: WorkUnderWay;
  /** It gives back after so long, between two items. */
  forMs: number;
}

/** What is on record of a batch: it stays so, and is answered, when what comes behind is given up. */
export class BatchProgress {
  outcomes = '';
  private readonly retries: NonNullable<BatchResult['retries']> = [];

  ended(outcome: Outcome): void {
    this.outcomes += outcome;
  }

  again(inMs: number): void {
    this.retries.push({ position: this.outcomes.length, inMs });
    this.outcomes += notEnded;
  }

  answer(): BatchResult {
    return { outcomes: this.outcomes, ...(this.retries.length === 0 ? {} : { retries: this.retries }) };
  }
}

/** Until all were tried, one stops the run, or the time is up. Each item has its own row, attempts, events and audit entry, as in an activity of its own. */
export async function executeBatch(dependencies: RunActivityDependencies, base: RunWork, batch: Batch, progress: BatchProgress): Promise<BatchResult> {
  const until = performance.now() + batch.forMs;
  const works = worksOf(base, batch);
  const later = await readLater(dependencies, base, batch);
  for (;;) {
    const place = progress.outcomes.length;
    const inMs = later.get(batch.from + place);
    if (inMs !== undefined) {
      progress.again(inMs);
      continue;
    }
    const rest = works.slice(place);
    const ofOthers = rest.findIndex(({ item }) => later.has(item));
    const ahead = rest.length > 1 ? await goAhead(dependencies, ofOthers === -1 ? rest : rest.slice(0, ofOthers), until) : nowhere;
    for (let recorded = 0; recorded < ahead.recorded; recorded += 1) progress.ended('s');
    batch.signal.throwIfAborted();
    const next = works.at(progress.outcomes.length);
    if (next === undefined || (progress.outcomes !== '' && performance.now() > until)) return progress.answer();
    if (later.has(next.item)) continue;
    const tried = await execute(dependencies, next, ahead.attempted);
    if ('retryInMs' in tried) progress.again(tried.retryInMs);
    else if (!('outcome' in tried)) return { ...progress.answer(), ...tried };
    else {
      progress.ended(tried.outcome);
      if (stopsTheRun(tried.outcome) || tried.outcome === 'c') return progress.answer();
    }
  }
}

/** Items that an earlier attempt at this batch has left to be tried again, each in so many ms. */
async function readLater(dependencies: RunActivityDependencies, { claim }: RunWork, { step, from, to }: Batch): Promise<Map<number, number>> {
  const retrying = await dependencies.database.inWorkspace(claim.workspaceId, ({ sql }) => retryingItems(sql, claim.runId, step, from, to));
  return new Map(retrying.flatMap(({ item, inMs }): [number, number][] => (inMs > 0 ? [[item, inMs]] : [])));
}

function worksOf(base: RunWork, { step, from, to, signal, underWay }: Batch): (StepWork & { item: number })[] {
  const work = { ...base, compiled: stepOf(base, step), alone: false, signal, underWay };
  return Array.from({ length: to - from + 1 }, (_, position) => ({ ...work, item: from + position }));
}
