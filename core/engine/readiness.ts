import type { PlanShape, StepShape } from '#schemas/shape.ts';
import { letsDependantsGoOn, type Outcome } from './outcome.ts';

/** What a step's needs say of it. `blocked`: these must end first. `skip`: this skipped need takes the step with it. `never`: this need ended in a way that stops it. */
export type Verdict =
  | { verdict: 'ready' }
  | { verdict: 'blocked'; by: number[] }
  | { verdict: 'skip'; because: number }
  | { verdict: 'never'; because: number };

/**
 * A need is met by succeeded or failed-and-tolerated. A skipped need skips the step unless its `when` mentions it; a skipped gate lets the
 * steps it gates run unapproved; a fallback that was not called for harms nobody, and is itself skipped unless what it stands in for failed.
 * Scheduler, chains and `explain` share this one rule.
 */
export function needsVerdict(step: StepShape, outcomeOf: (need: number) => Outcome | null): Verdict {
  const blocked: number[] = [];
  let skippedBy: number | null = null;
  for (const need of step.needs) {
    const outcome = outcomeOf(need);
    if (outcome === null) blocked.push(need);
    // Known at once: those who need what it stands in for do not wait for its other needs.
    else if (need === step.fallbackOf && (outcome === 's' || outcome === 'k')) return { verdict: 'skip', because: need };
    else if (outcome === 'k') {
      const harmless = need === step.gate || step.whenMentions?.includes(need) === true || step.fallbacks?.includes(need) === true;
      if (!harmless) skippedBy ??= need;
    } else if (!letsDependantsGoOn(outcome)) return { verdict: 'never', because: need };
  }
  if (blocked.length > 0) return { verdict: 'blocked', by: blocked };
  return skippedBy === null ? { verdict: 'ready' } : { verdict: 'skip', because: skippedBy };
}

/**
 * Which of these steps, which were to be skipped, still are by what is on record now: a person may have ended one of them, or what it needs, since that was decided.
 * What is not on record yet counts as it was decided then.
 */
export function skipsThatStand(shape: PlanShape, decided: readonly number[], outcomeOf: (step: number) => Outcome | null): number[] {
  let standing = decided.filter((step) => outcomeOf(step) === null);
  for (;;) {
    const dropped = decided.filter((step) => outcomeOf(step) === null && !standing.includes(step));
    const outcomeThen = (need: number): Outcome | null => outcomeOf(need) ?? (dropped.includes(need) ? null : 'k');
    const next = standing.filter((step) => needsVerdict(shape.steps[step] as StepShape, outcomeThen).verdict === 'skip');
    if (next.length === standing.length) return next;
    standing = next;
  }
}

/** Which unit each step belongs to. */
export function unitOfSteps(shape: PlanShape): number[] {
  const unitOf = new Array<number>(shape.steps.length).fill(-1);
  shape.units.forEach((members, unit) => {
    for (const member of members) unitOf[member] = unit;
  });
  return unitOf;
}
