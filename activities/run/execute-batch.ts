import { type BatchResult, notEnded, stopsTheRun } from '#core/engine/outcome.ts';
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

/** Until all were tried, one stops the run, or the time is up. Each item has its own row, attempts, events and audit entry, as in an activity of its own. */
export async function executeBatch(dependencies: RunActivityDependencies, base: RunWork, batch: Batch): Promise<BatchResult> {
  const until = performance.now() + batch.forMs;
  const works = worksOf(base, batch);
  const retries: NonNullable<BatchResult['retries']> = [];
  const answer = (outcomes: string): BatchResult => ({ outcomes, ...(retries.length === 0 ? {} : { retries }) });
  let outcomes = '';
  for (;;) {
    const rest = works.slice(outcomes.length);
    const ahead = rest.length > 1 ? await goAhead(dependencies, rest, until) : nowhere;
    outcomes += 's'.repeat(ahead.recorded);
    const next = works.at(outcomes.length);
    if (next === undefined || (outcomes !== '' && performance.now() > until)) return answer(outcomes);
    const tried = await execute(dependencies, next, ahead.attempted);
    if ('outcome' in tried) {
      outcomes += tried.outcome;
      if (stopsTheRun(tried.outcome) || tried.outcome === 'c') return answer(outcomes);
    } else if ('retryInMs' in tried) {
      retries.push({ position: outcomes.length, inMs: tried.retryInMs });
      outcomes += notEnded;
    } else {
      return { ...answer(outcomes), ...tried };
    }
  }
}

function worksOf(base: RunWork, { step, from, to, signal, underWay }: Batch): StepWork[] {
  const work = { ...base, compiled: stepOf(base, step), alone: false, signal, underWay };
  return Array.from({ length: to - from + 1 }, (_, position) => ({ ...work, item: from + position }));
}
