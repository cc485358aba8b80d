import { makeScope } from '#services/runs/ledger/load-scope.ts';
import { outputIsInline } from '#services/runs/ledger/record-outcome.ts';
import { type DoneStep, recordPureSteps } from '#services/runs/ledger/record-pure-steps.ts';
import type { StepPlace } from '#services/runs/ledger/take-step.ts';
import { withinTime } from '#services/time-limit.ts';
import type { ToolSettings } from '#services/tools/tool.ts';
import { meetsWhen } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import type { Tried } from './end-step.ts';
import { type Performed, performStep } from './perform-step.ts';
import { resolveInput } from './resolve-input.ts';
import { isWhole, type StepWork } from './step-work.ts';

/** What a pure step came to before its row was looked at: its work need not be done again. */
export type Attempted = { performed: Performed; begunAt: number; endedAt: number } | { thrown: unknown };

/**
 * A pure step whose inputs this worker wrote itself is done first and recorded then, in one round trip: nobody can tell, for it changes nothing outside. What
 * does not go by the book (a failure, a repeat, a cancel, a false `when`) takes the long way, with what was found out already.
 */
export async function recordAtOnce(
  dependencies: RunActivityDependencies,
  work: StepWork,
  place: StepPlace,
  settings: ToolSettings | undefined,
): Promise<{ tried: Tried } | { attempted: Attempted | null }> {
  const attempted = await attemptAhead(dependencies, work, place, settings);
  if (attempted === null || 'thrown' in attempted || !outputIsInline(attempted.performed.output)) return { attempted };
  const recorded = await recordDone(dependencies, work, [doneStep(place, attempted)]);
  return recorded ? { tried: { outcome: 's', output: attempted.performed.output } } : { attempted };
}

/** Does the work of a pure step before its row is looked at. Null where the row must be asked first. */
export async function attemptAhead(
  dependencies: RunActivityDependencies,
  work: StepWork,
  place: StepPlace,
  settings: ToolSettings | undefined,
): Promise<Attempted | null> {
  const { gatedBy, fallbackOf, cache } = work.compiled;
  const scope = knownScope(work);
  if (scope === null || gatedBy !== null || fallbackOf !== null || cache !== null) return null;
  return await attempt(dependencies, work, place, scope, settings);
}

export const doneStep = (place: StepPlace, { performed, begunAt, endedAt }: Extract<Attempted, { performed: Performed }>): DoneStep => ({
  place,
  output: performed.output,
  metadata: performed.metadata,
  begunAt,
  endedAt,
});

/** Null: not everything that the step reads is known here. */
function knownScope(work: StepWork): ReturnType<typeof makeScope> | null {
  const { compiled, item, known, facts, round } = work;
  if (known.startedAt === null || !needsAreKnown(work)) return null;
  const results = known.resultsOf(isWhole(work) ? [...compiled.reads.input, ...compiled.reads.when] : compiled.reads.input);
  const value = item === null ? null : known.itemOf(compiled.number, item);
  if (results === null || (item !== null && value === null)) return null;
  return makeScope(facts, known.startedAt, results, value, round);
}

/** The workflow knows of the first of a chain that its needs are met; of what follows in the same activity nobody else does. */
function needsAreKnown({ executable, compiled, item, known }: StepWork): boolean {
  const chained = item === null && executable.shape.units.some((unit) => unit.indexOf(compiled.number) > 0);
  if (!chained) return true;
  const needs = executable.shape.steps[compiled.number]?.needs ?? [];
  return known.resultsOf(needs.map((need) => executable.plan.steps[need]?.id ?? '')) !== null;
}

async function attempt(
  dependencies: RunActivityDependencies,
  work: StepWork,
  place: StepPlace,
  scope: ReturnType<typeof makeScope>,
  settings: ToolSettings | undefined,
): Promise<Attempted | null> {
  const { claim, compiled } = work;
  const begunAt = globalThis.performance.now();
  try {
    if (isWhole(work) && !(await meetsWhen(dependencies.evaluator, compiled, scope))) return null;
    const input = await resolveInput(dependencies.evaluator, compiled, scope);
    const step = { ...place, taken: true as const, fence: 0, attempt: 1, input: null, line: null, wasRunning: false, elapsedMs: 0 };
    const performance = { claim, step, compiled, input, repeated: false, settings };
    const performed = await withinTime(work.signal, compiled.timeoutMs, ({ signal }) => performStep(dependencies, { ...performance, signal }));
    return { performed, begunAt, endedAt: globalThis.performance.now() };
  } catch (thrown) {
    return { thrown };
  }
}

/**
 * Records steps of one worker that were done ahead, in their order, all or none; and with them the end of the run, where the last of them has it. False: none.
 * One alone needs no roll-back, so its commit is sent right behind.
 */
export async function recordDone({ database }: RunActivityDependencies, last: StepWork, steps: readonly DoneStep[]): Promise<boolean> {
  const { claim, known, round, alsoAtEnd } = last;
  const premises = { runStartedAt: known.startedAt as Date, parent: round?.parent ?? null };
  const mayCommit = steps.length === 1 && alsoAtEnd === undefined;
  try {
    await database.inWorkspace(claim.workspaceId, async ({ sql, commit }) => {
      const count = await recordPureSteps(sql, claim, steps, premises, mayCommit ? commit : undefined);
      if (count < steps.length) throw new NotAllRecorded();
      await alsoAtEnd?.(sql);
    });
    return true;
  } catch (error) {
    if (error instanceof NotAllRecorded) return false;
    throw error;
  }
}

/** Rolls back what was recorded. */
class NotAllRecorded extends Error {}
