import { setTimeout as sleep } from 'node:timers/promises';
import type { RepeatPolicy } from '#core/plan/compiled.ts';
import { roundPath } from '#core/plan/step-path.ts';
import type { Scope } from '#core/expression/scope.ts';
import { KosError } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';
import type { OutcomeError, WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { endStep, markRunWaiting } from '#services/runs/ledger/record-outcome.ts';
import { latestRounds, markRepeating, pauseRepeating, readRepeating, type RoundRow } from '#services/runs/ledger/rounds.ts';
import { standIn } from '#services/runs/ledger/stand-in.ts';
import { recordStarted, takeStep, type TakenStep } from '#services/runs/ledger/take-step.ts';
import { itemValue } from './artifact-lines.ts';
import { meetsWhen } from './condition.ts';
import type { ExpressionEvaluator, RunActivityDependencies } from './dependencies.ts';
import { endCancelled, type Ending, endSkipped, type Tried } from './end-step.ts';
import { executeStep } from './execute-step.ts';
import { failStep } from './fail-step.ts';
import { AttemptLost, classifyFailure } from './failure.ts';
import { unlessHeld } from './held-by-pause.ts';
import { placeOf } from './step-place.ts';
import type { StepWork } from './step-work.ts';

/** What one activity takes on before it reports, so that pause, cancel and another worker find it soon. */
const roundsAtOnce = 200;
const batchMs = 5_000;
/** A pause that is not worth leaving the activity for, ms. */
const shortPauseMs = 250;
/** A pause that the run's own row is told of when nothing else works, ms. */
const toldPauseMs = 1_000;
/** Temporal's timer may ring this much before the database's clock says so, ms. */
const earlyAtMostMs = 20;

/** The step (or item) as this worker took it, and what its rounds have in common. */
interface Batch {
  dependencies: RunActivityDependencies;
  work: StepWork;
  policy: RepeatPolicy;
  parent: TakenStep;
  /** What the condition sees besides the round. */
  scope: Scope;
  /** The number that no round reaches. */
  bound: number;
}

/** Where a step stands in its rounds. */
export interface RoundPosition {
  iteration: number;
  last: Json;
  /** How the round ended; null: it is to be run, or to be finished. */
  ended: { status: 'succeeded'; output: Json; msAgo: number } | { status: 'failed' | 'uncertain'; error: OutcomeError | null } | null;
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
    const ending: Ending = { ...transaction, evaluator: dependencies.evaluator, work, step: parent, effect: 'pure', cacheKey: null };
    if (header.cancelRequested) return await endCancelled(ending);
    const startedAt = await markWorking(sql, claim, header);
    work.known.startedAt = startedAt;
    try {
      const scope = makeScope(work.facts, startedAt, results, await itemValue(dependencies, sql, work, parent));
      const skipped = rounds.length === 0 ? await begin(ending, scope) : null;
      if (skipped !== null) return skipped;
      const bound = (before?.boundFrom ?? 0) + policy.maxIterations;
      return { batch: { dependencies, work, policy, parent, scope, bound }, position: positionOf(rounds) };
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

export function positionOf([newest, before]: readonly RoundRow[]): RoundPosition {
  if (newest === undefined) return { iteration: 0, last: null, ended: null };
  const { iteration, status, output, error, endedMsAgo } = newest;
  const last = before?.output ?? null;
  if (status === 'succeeded') return { iteration, last, ended: { status, output, msAgo: endedMsAgo ?? 0 } };
  if (status === 'failed' || status === 'uncertain') return { iteration, last, ended: { status, error } };
  return { iteration, last, ended: null };
}

async function runRounds(batch: Batch, start: RoundPosition): Promise<Tried> {
  const { policy, work } = batch;
  const until = performance.now() + batchMs;
  let at = start;
  for (let begun = 0; ; ) {
    const { ended } = at;
    if (ended === null) {
      if (work.signal.reason instanceof AttemptLost) throw work.signal.reason;
      if (begun >= roundsAtOnce || performance.now() > until || work.signal.aborted) return { retryInMs: 0 };
      begun += 1;
      const tried = await tryRound(batch, at);
      if ('retryInMs' in tried) return await waitForRetry(batch, at.iteration, tried.retryInMs);
      if ('heldAt' in tried) return tried;
      if (tried.outcome === 'c') return await inTransaction(batch, (ending) => endCancelled(ending));
      at = { ...at, ended: await endOf(batch, at.iteration, tried) };
      continue;
    }
    if (ended.status !== 'succeeded') return await endLikeRound(batch, at.iteration, ended);
    const over = await isOver(batch, at, ended.output);
    if ('tried' in over) return over.tried;
    at = { iteration: at.iteration + 1, last: ended.output, ended: null };
    const restMs = policy.everyMs - ended.msAgo;
    if (restMs > shortPauseMs) return await waitForRound(batch, at.iteration, restMs);
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

/** Looks whether another round is to follow; where none is, the step has ended. */
async function isOver(batch: Batch, { iteration, last }: RoundPosition, output: Json): Promise<{ goesOn: true } | { tried: Tried }> {
  const { dependencies, work, policy, parent, scope } = batch;
  const rounds = iteration + 1;
  try {
    if ((await meets(dependencies.evaluator, policy, parent.path, { ...scope, iteration, last, output })) === policy.endsWith)
      return { tried: await endWell(batch, output, { rounds }) };
  } catch (thrown) {
    const failure = classifyFailure(thrown, parent.path);
    if (failure === null) throw thrown;
    return { tried: await endBadly(batch, rounds, failure.error) };
  }
  if (rounds < batch.bound) return { goesOn: true };
  if (policy.onExhausted === 'continue') return { tried: await endWell(batch, output, { rounds, exhausted: true }) };
  return { tried: await endBadly(batch, rounds, exhausted(work, policy, parent)) };
}

/** A value that is neither true nor false is a mistake in the plan. Throws KosError `repeat_not_boolean`. */
async function meets(evaluator: ExpressionEvaluator, { condition, endsWith }: RepeatPolicy, path: string, scope: Scope): Promise<boolean> {
  const value = await evaluator.evaluate(condition, scope);
  if (typeof value === 'boolean') return value;
  throw new KosError({
    code: 'repeat_not_boolean',
    message: `The "${endsWith ? 'until' : 'while'}" of ${path} gave ${JSON.stringify(value).slice(0, 200)}, which is neither true nor false.`,
    fix: 'Compare it with something, e.g. output.status == 200.',
    status: 422,
  });
}

const exhausted = (work: StepWork, { maxIterations }: RepeatPolicy, parent: TakenStep): OutcomeError => ({
  code: 'repeat_exhausted',
  message: `${maxIterations} rounds of ${parent.path} were not enough.`,
  fix: `Raise maxIterations, or let onExhausted be continue. For as many rounds again: kai run retry ${work.claim.runId}`,
  stepPath: parent.path,
});

const inTransaction = <Result>({ dependencies, work, parent }: Batch, end: (ending: Ending) => Promise<Result>): Promise<Result> =>
  dependencies.database.inWorkspace(work.claim.workspaceId, (transaction) =>
    end({ ...transaction, evaluator: dependencies.evaluator, work, step: parent, effect: 'pure', cacheKey: null }),
  );

async function endWell(batch: Batch, output: Json, metadata: { rounds: number; exhausted?: true }): Promise<Tried> {
  const { work, parent } = batch;
  const { claim, compiled, item } = work;
  await inTransaction(batch, async ({ sql }) => {
    await endStep(sql, claim, parent, { status: 'succeeded', output, error: null, costMicros: 0, metadata });
    if (compiled.fallbackOf !== null) await standIn(sql, claim, compiled.fallbackOf, parent);
    await work.alsoAtEnd?.(sql);
  });
  if (item === null) work.known.addOutput(compiled.id, output);
  return { outcome: 's', output };
}

async function endBadly(batch: Batch, rounds: number, error: OutcomeError): Promise<Tried> {
  const { work, parent } = batch;
  return await inTransaction(batch, async ({ evaluator, sql }) => {
    const outcome = await failStep({ evaluator }, sql, work, parent, error, { metadata: { rounds } });
    if (outcome === 't') await work.alsoAtEnd?.(sql);
    return { outcome };
  });
}

/** A round that failed fails its step, by the step's own `onError`; one that nobody can vouch for leaves it uncertain, too. */
async function endLikeRound(
  batch: Batch,
  iteration: number,
  { status, error }: { status: 'failed' | 'uncertain'; error: OutcomeError | null },
): Promise<Tried> {
  const { work, parent } = batch;
  const path = roundPath(parent.path, iteration);
  const told: OutcomeError = error ?? { code: 'round_failed', message: `${path} is ${status}.`, fix: null, stepPath: path };
  if (status === 'failed') return await endBadly(batch, iteration + 1, told);
  const fix = `Look outside whether it happened: kai run resolve ${work.claim.runId} '${path}' happened|did-not|retry`;
  await inTransaction(batch, ({ sql }) =>
    endStep(sql, work.claim, parent, { status: 'uncertain', output: null, error: { ...told, fix }, costMicros: 0, metadata: {} }),
  );
  return { outcome: 'u' };
}

async function waitForRound(batch: Batch, iteration: number, restMs: number): Promise<Tried> {
  const { parent, bound } = batch;
  return await pause(batch, restMs, (until) => ({
    kind: 'timer',
    ref: null,
    until,
    text: `${parent.path} has done ${iteration} of at most ${bound} rounds; the next begins at ${until}.`,
  }));
}

/** The round's own row has the same, in the attempt's words. */
async function waitForRetry(batch: Batch, iteration: number, inMs: number): Promise<Tried> {
  const path = roundPath(batch.parent.path, iteration);
  return await pause(batch, inMs, (until) => ({ kind: 'retry', ref: path, until, text: `${path} failed and is tried again at ${until}.` }));
}

async function pause(batch: Batch, inMs: number, describe: (until: string) => WaitingFor): Promise<Tried> {
  const { claim, alone } = batch.work;
  await inTransaction(batch, async ({ sql }: { sql: TransactionSql }) => {
    const waitingFor = await pauseRepeating(sql, claim, batch.parent, inMs, describe);
    if (alone && inMs >= toldPauseMs) await markRunWaiting(sql, claim, waitingFor);
  });
  return { retryInMs: inMs };
}
