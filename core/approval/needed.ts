import type { Outcome } from '#core/engine/outcome.ts';
import { needsVerdict } from '#core/engine/readiness.ts';
import type { PlanShape } from '#schemas/shape.ts';

/**
 * Whether an approval has anything to decide: a step that it covers, or that looks at its decision, has not ended, and would run if it were approved. One that
 * covers nothing is about its message. `outcomeOf`: by number of the step; null: it has not ended.
 */
export function isDecisionNeeded(shape: PlanShape, approval: number, outcomeOf: (step: number) => Outcome | null): boolean {
  if (!shape.steps.some(({ gate }) => gate === approval)) return true;
  const known = new Map<number, Outcome>();
  // What has not ended may yet come to anything; of what is certain to be skipped the steps behind it are, too.
  const atBest = (step: number): Outcome => {
    const found = known.get(step) ?? outcomeOf(step) ?? (step !== approval && isToBeSkipped(step) ? 'k' : 't');
    known.set(step, found);
    return found;
  };
  const isToBeSkipped = (step: number): boolean => {
    const own = shape.steps[step];
    return own !== undefined && needsVerdict(own, atBest).verdict === 'skip';
  };
  return shape.steps.some(({ needs }, step) => needs.includes(approval) && !hasEnded(outcomeOf(step)) && !isToBeSkipped(step));
}

/** What is uncertain may run again. */
const hasEnded = (outcome: Outcome | null): boolean => outcome !== null && outcome !== 'u';
