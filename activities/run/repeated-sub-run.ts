import type { WaitOpened } from '#core/engine/outcome.ts';
import type { CompiledStep, RepeatPolicy } from '#core/plan/compiled.ts';
import { itemPath, parseStepPath, roundPath } from '#core/plan/step-path.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { endStepSkipped, markRunWaiting } from '#services/runs/ledger/record-outcome.ts';
import { latestRounds, markRepeating, markRepeatingWaits, pauseRepeating, readRepeating } from '#services/runs/ledger/rounds.ts';
import { type StepPlace, takeStep, type TakenStep } from '#services/runs/ledger/take-step.ts';
import { earlyAtMostMs, findOpenWait, lockWait, markStepWaiting } from '#services/runs/ledger/waits.ts';
import { itemValue } from './artifact-lines.ts';
import type { RunWork } from './close-run.ts';
import { meetsWhen } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { classifyFailure } from './failure.ts';
import { endByVerdict, nextRound, pausedForRetry, pausedForRound, positionOf, type Repeating, type RoundPosition, verdictOn } from './round-ends.ts';
import { placeOf, placeOfRound } from './step-place.ts';
import { endSubRun, openSubRun } from './sub-run.ts';

/** A step whose rounds are runs: each opens a wait for one, and the end of that begins the next. */
interface RepeatedStep {
  compiled: CompiledStep;
  policy: RepeatPolicy;
  item: number | null;
}

/** Begins the next round, or goes on waiting for the one that stands; answers the step's end where no other follows. */
export async function openRound(
  dependencies: RunActivityDependencies,
  work: RunWork,
  { compiled, policy, item }: RepeatedStep,
  { alone, toldTo }: { alone: boolean; toldTo: string | null },
): Promise<WaitOpened> {
  const { claim } = work;
  const place = placeOf(compiled, item);
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const [header, before, rounds] = await Promise.all([readHeader(sql, claim), readRepeating(sql, claim, place), latestRounds(sql, claim, place)]);
    assertClaim(header, claim);
    const standing = rounds[0] === undefined ? null : await findOpenWait(sql, claim.runId, roundPath(place.path, rounds[0].iteration));
    if (standing !== null) return standing;
    if (before?.status === 'waiting' && (before.leftMs ?? 0) > earlyAtMostMs) return { retryInMs: before.leftMs ?? 0 };
    const parent = await takeStep(sql, claim, place);
    if (!parent.taken) return { outcome: parent.outcome };
    assertNotPaused(header, claim);
    const startedAt = await markWorking(sql, claim, header);
    const begun: { round: TakenStep | null } = { round: null };
    try {
      const repeating = await repeatingOf(dependencies, sql, work, { compiled, policy, parent, startedAt, boundFrom: before?.boundFrom ?? 0 });
      if (rounds.length === 0 && item === null && !(await meetsWhen(dependencies.evaluator, compiled, repeating.scope))) {
        await endStepSkipped(sql, claim, parent, 'its "when" is false');
        return { outcome: 'k' };
      }
      if (rounds.length === 0) await markRepeating(sql, claim, place);
      const next = await nextOrEnd(sql, repeating, positionOf(rounds));
      return 'end' in next ? next.end : await openRun({ dependencies, sql, work, repeating, at: next.at, alone, toldTo, begun });
    } catch (thrown) {
      const failure = classifyFailure(thrown, place.path);
      if (failure === null) throw thrown;
      if (begun.round !== null) await failStep(dependencies, sql, { ...work, compiled }, begun.round, failure.error);
      return { outcome: await failStep(dependencies, sql, { ...work, compiled }, parent, failure.error) };
    }
  });
}

async function repeatingOf(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  of: { compiled: CompiledStep; policy: RepeatPolicy; parent: TakenStep; startedAt: Date; boundFrom: number },
): Promise<Repeating> {
  const { compiled, policy, parent, startedAt, boundFrom } = of;
  const reads = [...new Set([...compiled.reads.when, ...compiled.reads.input, ...compiled.reads.repeat])];
  const item = await itemValue(dependencies, sql, { ...work, compiled }, parent);
  const scope = makeScope(work.facts, startedAt, await loadResults(sql, work.claim.runId, reads), item);
  return { evaluator: dependencies.evaluator, work: { ...work, compiled }, policy, parent, scope, bound: boundFrom + policy.maxIterations };
}

/** The round to begin; or the step's end, where the last one was its last. */
async function nextOrEnd(sql: TransactionSql, repeating: Repeating, at: RoundPosition): Promise<{ at: RoundPosition } | { end: WaitOpened }> {
  if (at.ended === null) return { at };
  const verdict = await verdictOn(repeating, at);
  if (verdict.do !== 'goOn') return { end: { outcome: await endByVerdict(sql, repeating, verdict) } };
  return { at: nextRound(at, at.ended.status === 'succeeded' ? at.ended.output : null) };
}

interface RoundToOpen {
  dependencies: RunActivityDependencies;
  sql: TransactionSql;
  work: RunWork;
  repeating: Repeating;
  at: RoundPosition;
  alone: boolean;
  toldTo: string | null;
  /** Tells the round that was taken: where this fails, it has failed with it. */
  begun: { round: TakenStep | null };
}

async function openRun({ dependencies, sql, work, repeating, at, alone, toldTo, begun }: RoundToOpen): Promise<WaitOpened> {
  const { parent, scope } = repeating;
  const { compiled } = repeating.work;
  const { claim } = work;
  const { iteration, last } = at;
  const step = await takeStep(sql, claim, placeOfRound(parent, iteration));
  if (!step.taken) throw new Error(`Round ${iteration} of ${parent.path} in ${claim.runId} has ended, and is to begin.`);
  begun.round = step;
  const reference = 'plan' in compiled.definition ? compiled.definition.plan : '';
  const opened = await openSubRun({ dependencies, sql, work, compiled, step, toldTo, scope: { ...scope, iteration, last } }, reference);
  await markStepWaiting(sql, claim, step, opened.waitingFor);
  await markRepeatingWaits(sql, claim, parent, opened.waitingFor);
  if (alone) await markRunWaiting(sql, claim, opened.waitingFor);
  return { waitId: opened.waitId, endsInMs: opened.endsInMs };
}

/** The run of a round has ended: the step ends with it, or another round follows. */
export async function settleRound(
  dependencies: RunActivityDependencies,
  work: RunWork,
  { compiled, policy, item }: RepeatedStep,
  waitId: string,
): Promise<WaitOpened> {
  const { claim } = work;
  const place = placeOf(compiled, item);
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const wait = await lockWait(sql, waitId);
    const iteration = wait === null ? null : iterationOf(wait.stepPath, place);
    if (wait === null || iteration === null) throw new Error(`The wait ${waitId} is not one of ${place.path} in ${claim.runId}.`);
    if (wait.status === 'open' && !wait.due) return { waitId, endsInMs: wait.endsInMs };
    const boundFrom = (await readRepeating(sql, claim, place))?.boundFrom ?? 0;
    const parent = await takeStep(sql, claim, place);
    if (!parent.taken) return { outcome: parent.outcome };
    const startedAt = await markWorking(sql, claim, header);
    const repeating = await repeatingOf(dependencies, sql, work, { compiled, policy, parent, startedAt, boundFrom });
    const round = await takeStep(sql, claim, placeOfRound(place, iteration));
    if (round.taken) {
      const { retryInMs, waitingFor, ...standing } = await endSubRun(dependencies, sql, work, compiled, round, waitId);
      if (waitingFor !== undefined) {
        await markRepeatingWaits(sql, claim, parent, waitingFor);
        return standing;
      }
      if (retryInMs !== undefined) return await pause(sql, repeating, retryInMs, pausedForRetry(repeating, iteration));
    }
    const next = await nextOrEnd(sql, repeating, positionOf(await latestRounds(sql, claim, place)));
    if ('end' in next) return next.end;
    return await pause(sql, repeating, policy.everyMs, pausedForRound(repeating, iteration + 1));
  });
}

/** Null: the path is not that of a round of this step. */
function iterationOf(path: string, place: StepPlace): number | null {
  const { id, item, iteration } = parseStepPath(path);
  return itemPath(id, item) === place.path ? iteration : null;
}

/** Without a pause the step's row is taken again at once. */
async function pause(sql: TransactionSql, { work, parent }: Repeating, inMs: number, describe: Parameters<typeof pauseRepeating>[4]): Promise<WaitOpened> {
  await pauseRepeating(sql, work.claim, parent, inMs, describe);
  return { retryInMs: inMs };
}
