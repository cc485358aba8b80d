import { digestOf } from '#core/plan/load.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Json } from '#schemas/json.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { isUnstorableValue } from '#services/database/failures.ts';
import { effectKeyOf, type Intent, recordIntent } from '#services/runs/ledger/effects.ts';
import { assertClaim, assertNotPaused, HeldByPause, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { outputIsInline } from '#services/runs/ledger/record-outcome.ts';
import { recordStarted, type TakenStep, takeStep } from '#services/runs/ledger/take-step.ts';
import { itemValue } from './artifact-lines.ts';
import { assertTaken } from '#services/runs/ledger/rounds.ts';
import { approvedInput } from './approved-input.ts';
import { meetsWhen } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { type Effect, endCancelled, type Ending, endInFailure, endInSuccess, endSkipped, notStorable, type Tried } from './end-step.ts';
import { AttemptLost, classifyFailure, type StepFailure, stepTimedOut } from './failure.ts';
import { unlessHeld } from './held-by-pause.ts';
import { readVerdict } from './needs.ts';
import { makeToolContext, type Performed, performStep, toolOf } from './perform-step.ts';
import { persistently } from './persistently.ts';
import { type Attempted, recordAtOnce } from './pure-step.ts';
import { endInReuse, findReusable, keyedInput } from './reuse.ts';
import { heedsCancel, isWhole, placeOfWork, type StepWork } from './step-work.ts';
import { scopeOfUndo } from './undone-scope.ts';
import { withinTime } from '#services/time-limit.ts';
import { ToolFailure, type ToolSettings } from '#services/tools/tool.ts';

/** Taken and ready to be performed outside a transaction. */
export interface Begun {
  step: TakenStep;
  input: Json;
  intent: Intent | null;
  cacheKey: string | null;
}

/** Between a step of a chain and the next one. */
export interface Link {
  /** What the transaction of the step before has made of this one; null: nothing. */
  begun: Begun | Tried | null;
  /** The step that is to be begun in the transaction that ends this one; null: none is. */
  following: StepWork | null;
}

/**
 * One try at one step. Pure steps take one transaction; others record their intent, work, and record their outcome. `attempted`: of a pure step that was done
 * already. `link` is left with what was begun of the step that follows.
 */
export async function executeStep(
  dependencies: RunActivityDependencies,
  work: StepWork,
  attempted: Attempted | null = null,
  link: Link = { begun: null, following: null },
): Promise<Tried> {
  const effect = effectOf(dependencies, work);
  const tried = await unlessHeld<Tried>(() =>
    effect === 'pure' ? executePure(dependencies, work, attempted) : executeEffect(dependencies, work, effect, link),
  );
  // What was recorded is known from here on to those who come after.
  if ('output' in tried && tried.output !== undefined && isWhole(work)) work.known.addOutput(work.compiled.id, tried.output);
  return tried;
}

async function executePure(dependencies: RunActivityDependencies, work: StepWork, known: Attempted | null): Promise<Tried> {
  const { workspaceId } = work.claim;
  // A pure tool may work inside its step's transaction. Asking for its settings there would wait for a second connection while it holds one: as many such
  // steps as there are connections would wait for each other for ever.
  const settings = 'tool' in work.compiled.definition ? await dependencies.toolSettings(workspaceId) : undefined;
  const atOnce = known === null ? await recordAtOnce(dependencies, work, placeOfWork(work), settings) : { attempted: known };
  if ('tried' in atOnce) return atOnce.tried;
  const begun = await dependencies.database.inWorkspace(workspaceId, (transaction) =>
    begin(dependencies, transaction, work, 'pure', settings, atOnce.attempted),
  );
  if (!('intent' in begun)) return begun;
  throw new Error(`The pure step ${begun.step.path} was begun and not ended.`);
}

async function executeEffect(dependencies: RunActivityDependencies, work: StepWork, effect: Effect, link: Link): Promise<Tried> {
  const begun =
    link.begun ??
    (await dependencies.database.inWorkspace(work.claim.workspaceId, (transaction) => begin(dependencies, transaction, work, effect, undefined, null)));
  link.begun = null;
  if (!('intent' in begun)) return begun;
  const key = workKeyOf(work, begun.step);
  const performed = await work.underWay.join(key, work.signal, (signal) => perform(dependencies, work, effect, begun, signal));
  const tried = await persistently(work.signal, async () => {
    const both = 'error' in performed ? null : await recordAndBegin(dependencies, { work, effect, begun, performed }, link.following);
    if (both === null) return await recordOutcome(dependencies, work, effect, begun, performed);
    link.begun = both.begun;
    return both.tried;
  });
  work.underWay.forget(key);
  return tried;
}

/** One attempt of the step: attempts of the activity may come and go meanwhile. */
const workKeyOf = (work: StepWork, step: TakenStep): string => `${effectKeyOf(work.claim.runId, step.path)}#${step.attempt}`;

interface Done {
  work: StepWork;
  effect: Effect;
  begun: Begun;
  performed: Performed;
}

/**
 * The outcome of a step and the intent of the next one in one transaction, for a commit costs more than all else that is recorded. Null: there is nothing to begin, or it
 * does not go by the book (the run is paused, a value cannot be stored): nothing was recorded.
 */
async function recordAndBegin(
  dependencies: RunActivityDependencies,
  { work, effect, begun: { step, cacheKey }, performed }: Done,
  following: StepWork | null,
): Promise<{ tried: Tried; begun: Begun | Tried | null } | null> {
  if (following === null || work.signal.aborted) return null;
  try {
    return await dependencies.database.inWorkspace(work.claim.workspaceId, async (transaction) => {
      const ending: Ending = { ...transaction, commit: () => undefined, evaluator: dependencies.evaluator, work, step, effect, cacheKey };
      const ended = endInSuccess(ending, performed);
      // One statement travels together with the next step's reads; written in several, it is waited for, and may be a failure yet (an output that is too large).
      const isOne = performed.artifact === undefined && outputIsInline(performed.output);
      const early = isOne ? null : await ended;
      if (early !== null && !('output' in early)) return { tried: early, begun: null };
      const begun = await begin(dependencies, transaction, following, effectOf(dependencies, following), undefined, null, ended);
      return { tried: await ended, begun };
    });
  } catch (error) {
    if (error instanceof HeldByPause || isUnstorableValue(error)) return null;
    throw error;
  }
}

async function recordOutcome(
  dependencies: RunActivityDependencies,
  work: StepWork,
  effect: Effect,
  begun: Begun,
  performed: Performed | StepFailure,
): Promise<Tried> {
  const { step, cacheKey } = begun;
  try {
    return await dependencies.database.inWorkspace(work.claim.workspaceId, async (transaction) => {
      const ending: Ending = { ...transaction, evaluator: dependencies.evaluator, work, step, effect, cacheKey };
      if (!('error' in performed)) return await endInSuccess(ending, performed);
      const header = await readHeader(transaction.sql, work.claim);
      assertClaim(header, work.claim);
      return await endInFailure(ending, performed, header);
    });
  } catch (error) {
    if ('error' in performed || !isUnstorableValue(error)) throw error;
    return await recordOutcome(dependencies, work, effect, begun, notStorable(step, error));
  }
}

export function effectOf(dependencies: RunActivityDependencies, { compiled, undoes }: Pick<StepWork, 'compiled' | 'undoes'>): Effect {
  const { definition } = compiled;
  if ('transform' in definition) return 'pure';
  if ('tool' in definition) {
    const tool = dependencies.tools.get(definition.tool);
    if (tool?.effect === 'effectful' && tool.reconcile !== undefined) return 'askable';
    // A tool that was no pure one when the plan was saved.
    return tool?.effect === 'pure' && undoes !== undefined ? 'idempotent' : (tool?.effect ?? 'effectful');
  }
  return 'idempotent';
}

async function begin(
  dependencies: RunActivityDependencies,
  transaction: Transaction,
  work: StepWork,
  effect: Effect,
  settings: ToolSettings | undefined,
  attempted: Attempted | null,
  /** What is being recorded in the same transaction: without it nothing may be begun. */
  before: Promise<unknown> | null = null,
): Promise<Begun | Tried> {
  const { sql } = transaction;
  const { claim, compiled } = work;
  const reads = [...new Set([...compiled.reads.input, ...(isWhole(work) ? compiled.reads.when : [])])];
  // Sent together, answered together: one round trip.
  const [header, step, results, needs] = await Promise.all([
    readHeader(sql, claim),
    takeStep(sql, claim, placeOfWork(work)),
    loadResults(sql, claim.runId, reads),
    isWhole(work) ? loadNeeds(sql, work) : null,
    work.round === undefined ? null : assertTaken(sql, claim, work.round.parent),
    before,
  ]);
  if (!step.taken) return { outcome: step.outcome };
  assertClaim(header, claim);
  // What a lost worker left running is finished, for a pause lets it finish.
  if (!step.wasRunning) assertNotPaused(header, claim);
  const ending: Ending = { ...transaction, evaluator: dependencies.evaluator, work, step, effect, cacheKey: null };
  if (header.cancelRequested && heedsCancel(work)) return await endCancelled(ending);
  const startedAt = await markWorking(sql, claim, header);
  work.known.startedAt = startedAt;
  if (needs === 'skip') return await endSkipped(ending, 'a step that it needs was skipped');
  try {
    if (attempted !== null) return await endAttempted(ending, attempted);
    const scope =
      work.undoes === undefined
        ? makeScope(work.facts, startedAt, results, await itemValue(dependencies, sql, work, work.round?.parent ?? step), work.round)
        : await scopeOfUndo(dependencies, sql, work, work.undoes, makeScope(work.facts, startedAt, results, null));
    if (isWhole(work) && !(await meetsWhen(dependencies.evaluator, compiled, scope))) return await endSkipped(ending, 'its "when" is false');
    const approved = await approvedInput(sql, work);
    if (approved !== null && 'withheld' in approved) return await endSkipped(ending, approved.withheld);
    const keyed = await keyedInput(dependencies, work, scope, approved);
    // What is under way in this process is awaited, whatever others have found out since.
    const kept = work.underWay.has(workKeyOf(work, step)) ? null : await findReusable(sql, work, keyed.key);
    if (kept !== null) return await endInReuse(ending, kept);
    const input = await keyed.input();
    if (effect !== 'pure') return await beginEffect(transaction, work, { step, input, cacheKey: keyed.key }, effect);
    const performance = { claim, step, compiled, input, repeated: false, settings };
    const performed = await withinTime(work.signal, attemptTimeoutMs(compiled, step), ({ signal }) => performStep(dependencies, { ...performance, signal }));
    return await endInSuccess({ ...ending, cacheKey: keyed.key }, performed);
  } catch (thrown) {
    if (work.signal.reason instanceof AttemptLost) throw work.signal.reason;
    const failure = classifyFailure(thrown, step.path);
    if (failure === null) throw thrown;
    return await endInFailure(ending, { ...failure, effect: 'none' }, header);
  }
}

/** Its work is done, in the one way or the other: only its row was to be taken. */
async function endAttempted(ending: Ending, attempted: Attempted): Promise<Tried> {
  if ('thrown' in attempted) throw attempted.thrown;
  return await endInSuccess(ending, attempted.performed);
}

async function beginEffect({ sql, commit }: Transaction, work: StepWork, begun: Omit<Begun, 'intent'>, effect: Effect): Promise<Begun> {
  const { claim, compiled } = work;
  const { step, input } = begun;
  // Its intent stands, and its outcome is awaited in this process.
  if (work.underWay.has(workKeyOf(work, step))) return { ...begun, intent: null };
  if (compiled.kind === 'artifact') {
    // Content in kOS's own store, addressed by its digest: writing it is no effect outside.
    await recordStarted(sql, claim, step);
    return { ...begun, intent: null };
  }
  const tool = 'tool' in compiled.definition ? compiled.definition.tool : compiled.kind;
  const intended = { tool, repeatable: effect === 'idempotent', inputDigest: digestOf(input) };
  return { ...begun, intent: await recordIntent(sql, claim, step, intended, commit) };
}

/** Members of a chain look at their needs themselves: what ran before them in the same activity is known to the rows only. */
async function loadNeeds(sql: TransactionSql, { executable, compiled, claim }: StepWork): Promise<'go' | 'skip'> {
  const chained = executable.shape.units.some((unit) => unit.length > 1 && unit.indexOf(compiled.number) > 0);
  if (!chained) return 'go';
  const { verdict } = await readVerdict(sql, claim.runId, executable, compiled.number);
  return verdict === 'skip' ? 'skip' : 'go';
}

/** The step's own work, bounded by its time-out and by `stop` (the run's cancellation, the worker's end). Answers a failure instead of throwing it. */
async function perform(
  dependencies: RunActivityDependencies,
  work: StepWork,
  effect: Effect,
  begun: Begun,
  stop: AbortSignal,
): Promise<Performed | StepFailure> {
  const { claim, compiled } = work;
  const timeoutMs = attemptTimeoutMs(compiled, begun.step);
  return await withinTime(stop, timeoutMs, async (limit) => {
    const performance = { claim, step: begun.step, compiled, input: begun.input, signal: limit.signal, repeated: begun.intent?.repeated === true };
    try {
      const doing = begun.intent?.verdict === 'uncertain' ? reconcile(dependencies, performance) : performStep(dependencies, performance);
      return await raceAbort(limit.signal, doing);
    } catch (thrown) {
      return failureOf(thrown, { timeoutMs, effect, begun, stop, timedOut: limit.passed && !stop.aborted });
    }
  });
}

function failureOf(thrown: unknown, of: { timeoutMs: number; effect: Effect; begun: Begun; stop: AbortSignal; timedOut: boolean }): StepFailure {
  const { stop } = of;
  const { path } = of.begun.step;
  if (stop.reason instanceof AttemptLost) throw stop.reason;
  const unknown = of.effect === 'pure' ? 'none' : 'unknown';
  const failure = classifyFailure(of.timedOut ? stepTimedOut(path, of.timeoutMs, unknown) : thrown, path);
  if (failure !== null) return failure;
  if (!stop.aborted) throw thrown;
  return { error: { code: 'cancelled', message: 'The run was cancelled.', fix: null, stepPath: path }, retryable: false, effect: unknown, retryAfterMs: null };
}

/** What one attempt may take: its own bound, or what is left of that of all attempts. */
const attemptTimeoutMs = ({ timeoutMs, timeoutInAllMs }: CompiledStep, step: TakenStep): number =>
  timeoutInAllMs === null ? timeoutMs : Math.max(1, Math.min(timeoutMs, Math.ceil(timeoutInAllMs - step.elapsedMs)));

/** A late answer of work that does not listen to its signal is dropped; its fence would refuse it anyway. */
async function raceAbort<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  work.catch(() => undefined); // Answered by the race; a rejection after it has nobody else to go to.
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** An effect that may have happened: the tool is asked where it can say; else a person must. */
async function reconcile(dependencies: RunActivityDependencies, performance: Parameters<typeof performStep>[1]): Promise<Performed | StepFailure> {
  const { definition } = performance.compiled;
  const tool = 'tool' in definition ? toolOf(dependencies, definition.tool) : undefined;
  const found = tool?.reconcile === undefined ? undefined : await tool.reconcile(performance.input, await makeToolContext(dependencies, performance));
  if (found === null) return await performStep(dependencies, performance);
  if (found !== undefined) return { output: found as Json, metadata: { tool: tool?.name ?? '', reconciled: true }, costMicros: 0 };
  const failure = new ToolFailure({
    code: 'effect_uncertain',
    message: `A worker was lost while ${tool?.name ?? 'the step'} ran: its effect may have happened, and repeating it could double it.`,
    fix: 'Look outside whether it happened; kOS does not repeat it by itself.',
    effect: 'unknown',
  });
  return classifyFailure(failure, performance.step.path) as StepFailure;
}
