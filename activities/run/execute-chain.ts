import { letsDependantsGoOn, type Outcome, type UnitResult } from '#core/engine/outcome.ts';
import { closeWithLastStep, type RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import type { Tried } from './end-step.ts';
import { effectOf, executeStep, type Link } from './execute-step.ts';
import { stepOf } from './items.ts';
import { type Ahead, goAhead } from './pure-chain.ts';
import type { Attempted } from './pure-step.ts';
import { executeRepeat } from './repeat.ts';
import { isWhole, type StepWork } from './step-work.ts';
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
  const link: Link = { begun: null, following: null };
  for (;;) {
    const rest = works.slice(outcomes.length);
    const ahead = rest.length > 1 && link.begun === null ? await goAhead(dependencies, rest, until) : nowhere;
    outcomes += 's'.repeat(ahead.recorded);
    const next = works.at(outcomes.length);
    if (next === undefined || (ahead.recorded > 0 && performance.now() > until)) break;
    link.following = performance.now() < until ? effectAt(dependencies, works, outcomes.length + 1) : null;
    const tried = await execute(dependencies, next, ahead.attempted, link);
    if (!('outcome' in tried)) return { outcomes, ...tried };
    outcomes += tried.outcome;
    const isOver = !goesOn(tried.outcome) || outcomes.length === works.length;
    // What was begun is done here: nobody else knows that it was not called yet.
    if (isOver || (performance.now() > until && link.begun === null)) break;
  }
  return { outcomes, ...(closed ? { closed } : {}) };
}

/** `attempted`: of a pure step that was done already. */
export async function execute(dependencies: RunActivityDependencies, work: StepWork, attempted: Attempted | null = null, link?: Link): Promise<Tried> {
  const { repeat } = work.compiled;
  return repeat === null ? await executeStep(dependencies, work, attempted, link) : await executeRepeat(dependencies, work, repeat);
}

/** The member at that place, where it has an effect whose intent is recorded before it is called. */
function effectAt(dependencies: RunActivityDependencies, works: readonly StepWork[], place: number): StepWork | null {
  const work = works.at(place);
  return work !== undefined && isWhole(work) && work.compiled.repeat === null && effectOf(dependencies, work) === 'idempotent' ? work : null;
}

function worksOf(base: RunWork, { steps, alone, closes, signal, underWay }: Chain, alsoAtEnd: NonNullable<StepWork['alsoAtEnd']>): StepWork[] {
  return steps.map((step) => {
    const work = { ...base, compiled: stepOf(base, step), item: null, alone, signal, underWay };
    return closes && step === steps.at(-1) ? { ...work, alsoAtEnd } : work;
  });
}

export const nowhere: Ahead = { recorded: 0, attempted: null };

const goesOn = (outcome: Outcome): boolean => letsDependantsGoOn(outcome) || outcome === 'k';
