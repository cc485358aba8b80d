import type { Outcome, UnitResult } from '#core/engine/outcome.ts';
import { closeWithLastStep, type RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import type { Tried } from './end-step.ts';
import { executeStep } from './execute-step.ts';
import { stepOf } from './items.ts';
import { type Ahead, goAhead } from './pure-chain.ts';
import type { Attempted } from './pure-step.ts';
import { executeRepeat } from './repeat.ts';
import type { StepWork } from './step-work.ts';
import type { WorkUnderWay } from './work-under-way.ts';

/** The steps of one unit that have not ended, in order; a step of its own is a chain of one. */
export interface Chain {
  steps: readonly number[];
  alone: boolean;
  /** The run ends with the last of them. */
  closes: boolean;
  signal: AbortSignal;
  underWay: WorkUnderWay;
  /** It gives back after so long, between two steps. */
  forMs: number;
}

/** Until all are done, one ends otherwise than well, or the time is up. */
export async function executeChain(dependencies: RunActivityDependencies, base: RunWork, chain: Chain): Promise<UnitResult> {
  const until = performance.now() + chain.forMs;
  let closed: boolean = false;
  const works = worksOf(
    base,
    chain,
    closeWithLastStep(dependencies, base, () => void (closed = true)),
  );
  let outcomes = '';
  for (;;) {
    const rest = works.slice(outcomes.length);
    const ahead = rest.length > 1 ? await goAhead(dependencies, rest, until) : nowhere;
    outcomes += 's'.repeat(ahead.recorded);
    const next = works.at(outcomes.length);
    if (next === undefined || (ahead.recorded > 0 && performance.now() > until)) break;
    const tried = await execute(dependencies, next, ahead.attempted);
    if (!('outcome' in tried)) return { outcomes, ...tried };
    outcomes += tried.outcome;
    if (!goesOn(tried.outcome) || outcomes.length === works.length || performance.now() > until) break;
  }
  return { outcomes, ...(closed ? { closed } : {}) };
}

/** `attempted`: of a pure step that was done already. */
export async function execute(dependencies: RunActivityDependencies, work: StepWork, attempted: Attempted | null = null): Promise<Tried> {
  const { repeat } = work.compiled;
  return repeat === null ? await executeStep(dependencies, work, attempted) : await executeRepeat(dependencies, work, repeat);
}

function worksOf(base: RunWork, { steps, alone, closes, signal, underWay }: Chain, alsoAtEnd: NonNullable<StepWork['alsoAtEnd']>): StepWork[] {
  return steps.map((step) => {
    const work = { ...base, compiled: stepOf(base, step), item: null, alone, signal, underWay };
    return closes && step === steps.at(-1) ? { ...work, alsoAtEnd } : work;
  });
}

const nowhere: Ahead = { recorded: 0, attempted: null };

const goesOn = (outcome: Outcome): boolean => outcome === 's' || outcome === 't' || outcome === 'k';
