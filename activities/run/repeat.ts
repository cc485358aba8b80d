import { setTimeout as sleep } from 'node:timers/promises';
import type { RepeatPolicy } from '#core/plan/compiled.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { WaitingFor } from '#schemas/run.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { markRunWaiting } from '#services/runs/ledger/record-outcome.ts';
import { latestRounds, markRepeating, pauseRepeating, readRepeating } from '#services/runs/ledger/rounds.ts';
import { recordStarted, takeStep } from '#services/runs/ledger/take-step.ts';
import { earlyAtMostMs } from '#services/runs/ledger/waits.ts';
import { itemValue } from './artifact-lines.ts';
import { meetsWhen } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { endCancelled, type Ending, endSkipped, type Tried } from './end-step.ts';
import { executeStep } from './execute-step.ts';
import { failStep } from './fail-step.ts';
import { AttemptLost, classifyFailure } from './failure.ts';
import { unlessHeld } from './held-by-pause.ts';
import {
  endByVerdict,
  nextRound,
  pausedForRetry,
  pausedForRound,
  positionOf,
  type Repeating,
  type RoundPosition,
  type Verdict,
  verdictOn,
} from './round-ends.ts';
import { placeOf } from './step-place.ts';
import type { StepWork } from './step-work.ts';

/** What one activity takes on before it reports, so that pause, cancel and another worker find it soon. */
const roundsAtOnce = 200;
const batchMs = 5_000;
/** A pause that is not worth leaving the activity for, ms. */
const shortPauseMs = 250;
/** A pause that the run's own row is told of when nothing else works, ms. */
const toldPauseMs = 1_000;

interface Batch extends Repeating {
  dependencies: RunActivityDependencies;
  work: StepWork;
}

/**
 * Runs rounds one after the other, until the step has ended, something must be waited for, or the batch is full. Each round is a row with fence, effect key,
 * attempts, events and audit entry of its own; whoever comes after goes on behind the last one that is on record.
 */
export async function executeRepeat(dependencies: RunActivityDependencies, work: StepWork, policy: RepeatPolicy): Promise<Tried> {
  return await unlessHeld<Tried>(async () => {
    const opened = await open(dependencies, work, policy);
    return 'batch' in opened ? await runRounds(opened.batch, opened.position) : opened;
  });
}

async function open(dependencies: RunActivityDependencies, work: StepWork, policy: RepeatPolicy): Promise<{ batch: Batch; position: RoundPosition } | Tried> {
  const { claim, compiled, item } = work;
  const { evaluator } = dependencies;
  const place = placeOf(compiled, item);
  return await dependencies.database.inWorkspace(claim.workspaceId, async (transaction) => {
    const { sql } = transaction;
    const reads = [...new Set([...compiled.reads.repeat, ...compiled.reads.when])];
    const [header, before, rounds, results] = await Promise.all([
      readHeader(sql, claim),
      readRepeating(sql, claim, place),
      latestRounds(sql, claim, place),
      loadResults(sql, claim.runId, reads),
    ]);
    assertClaim(header, claim);
    if (before?.status === 'waiting' && (before.leftMs ?? 0) > earlyAtMostMs && !header.cancelRequested) return { retryInMs: before.leftMs ?? 0 };
    // What a lost worker left running is finished, for a pause lets it finish.
    if (rounds[0]?.status !== 'running') assertNotPaused(header, claim);
    const parent = await takeStep(sql, claim, place);
    if (!parent.taken) return { outcome: parent.outcome };
    const ending: Ending = { ...transaction, evaluator, work, step: parent, effect: 'pure', cacheKey: null };
    if (header.cancelRequested) return await endCancelled(ending);
    const startedAt = await markWorking(sql, claim, header);
    work.known.startedAt = startedAt;
    try {
      const scope = makeScope(work.facts, startedAt, results, await itemValue(dependencies, sql, work, parent));
      const skipped = rounds.length === 0 ? await begin(ending, scope) : null;
      if (skipped !== null) return skipped;
      const bound = (before?.boundFrom ?? 0) + policy.maxIterations;
      return { batch: { dependencies, evaluator, work, policy, parent, scope, bound }, position: positionOf(rounds) };
    } catch (thrown) {
      const failure = classifyFailure(thrown, parent.path);
      if (failure === null) throw thrown;
      return { outcome: await failStep(dependencies, sql, work, parent, failure.error) };
    }
  });
}

/** Before the first round. Null: it may begin. */
async function begin(ending: Ending, scope: Scope): Promise<Tried | null> {
  const { sql, work, step, evaluator } = ending;
  if (work.item === null && !(await meetsWhen(evaluator, work.compiled, scope))) return await endSkipped(ending, 'its "when" is false');
  await markRepeating(sql, work.claim, step);
  await recordStarted(sql, work.claim, step);
  return null;
}

async function runRounds(batch: Batch, start: RoundPosition): Promise<Tried> {
  const { policy, work } = batch;
  const until = performance.now() + batchMs;
  let at = start;
  for (let begun = 0; ; ) {
    if (at.ended === null) {
      if (work.signal.reason instanceof AttemptLost) throw work.signal.reason;
      if (begun >= roundsAtOnce || performance.now() > until || work.signal.aborted) return { retryInMs: 0 };
      begun += 1;
      const tried = await tryRound(batch, at);
      if ('retryInMs' in tried) return await pause(batch, tried.retryInMs, pausedForRetry(batch, at.iteration));
      if ('heldAt' in tried) return tried;
      if (tried.outcome === 'c') return await endCancelledToo(batch);
      at = { ...at, ended: await endOf(batch, at.iteration, tried) };
    }
    const verdict = await verdictOn(batch, at);
    if (verdict.do !== 'goOn' || at.ended?.status !== 'succeeded') return await end(batch, verdict);
    const restMs = policy.everyMs - at.ended.msAgo;
    at = nextRound(at, at.ended.output);
    if (restMs > shortPauseMs) return await pause(batch, restMs, pausedForRound(batch, at.iteration));
    if (restMs > earlyAtMostMs) await shortPause(work.signal, restMs);
  }
}

/** Its own activity's signal ends it early; what follows then is not begun. */
const shortPause = (signal: AbortSignal, ms: number): Promise<void> => sleep(ms, undefined, { signal }).catch(() => undefined);

async function tryRound({ dependencies, work, parent }: Batch, { iteration, last }: RoundPosition): Promise<Tried> {
  const { alsoAtEnd: _ofTheStep, ...round } = work;
  return await executeStep(dependencies, { ...round, round: { iteration, last, parent } });
}

/** What stands in its row, where this worker does not know it. */
async function endOf({ dependencies, work }: Batch, iteration: number, tried: Extract<Tried, { outcome: unknown }>): Promise<RoundPosition['ended']> {
  if (tried.outcome === 's' && tried.output !== undefined) return { status: 'succeeded', output: tried.output, msAgo: 0 };
  const { claim, compiled, item } = work;
  const [row] = await dependencies.database.inWorkspace(claim.workspaceId, ({ sql }) => latestRounds(sql, claim, placeOf(compiled, item)));
  const ended = row?.iteration === iteration ? positionOf([row]).ended : null;
  if (ended === null) throw new Error(`Round ${iteration} of ${compiled.id} in ${claim.runId} came to ${tried.outcome}, and its row does not say so.`);
  return ended;
}

async function end(batch: Batch, verdict: Verdict): Promise<Tried> {
  if (verdict.do === 'goOn') throw new Error(`A round of ${batch.parent.path} did not succeed, and another one is to follow.`);
  const { claim, item, compiled, known } = batch.work;
  const outcome = await batch.dependencies.database.inWorkspace(claim.workspaceId, ({ sql }) => endByVerdict(sql, batch, verdict));
  if (verdict.do !== 'succeed') return { outcome };
  if (item === null) known.addOutput(compiled.id, verdict.output);
  return { outcome, output: verdict.output };
}

const endCancelledToo = ({ dependencies, evaluator, work, parent }: Batch): Promise<Tried> =>
  dependencies.database.inWorkspace(work.claim.workspaceId, (transaction) =>
    endCancelled({ ...transaction, evaluator, work, step: parent, effect: 'pure', cacheKey: null }),
  );

async function pause({ dependencies, work, parent }: Batch, inMs: number, describe: (until: string) => WaitingFor): Promise<Tried> {
  const { claim, alone } = work;
  await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const waitingFor = await pauseRepeating(sql, claim, parent, inMs, describe);
    if (alone && inMs >= toldPauseMs) await markRunWaiting(sql, claim, waitingFor);
  });
  return { retryInMs: inMs };
}
