import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { KosError } from '#core/errors.ts';
import type { WaitOpened } from '#core/engine/outcome.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import { planLimits } from '#schemas/plan.ts';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type OutcomeError, type WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { checkedInput, findPlan, insertRun, readPlanVersion } from '#services/runs/accept.ts';
import { type ContinuedRun, continueSubRun, isToBeContinued } from '#services/runs/actions/continue-sub-run.ts';
import { pauseWithParent } from '#services/runs/actions/pause-sub-runs.ts';
import { boundOf } from '#services/runs/concurrency.ts';
import { endStep, recordRetry } from '#services/runs/ledger/record-outcome.ts';
import { addCosts, type CallingRun, readCallingRun, readSubRun, settleWithEnded, type SubRun } from '#services/runs/ledger/sub-runs.ts';
import { standIn } from '#services/runs/ledger/stand-in.ts';
import { setBack, type TakenStep } from '#services/runs/ledger/take-step.ts';
import { markStepWaiting, openWaitRow, reopenWait } from '#services/runs/ledger/waits.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { retryDelayMs } from './failure.ts';
import type { Opened, Opening } from './opening.ts';
import { asObject } from './resolve-input.ts';

/** Begins to wait for the run that the step calls for: the one that it goes on with after a retry, or another one, accepted in this transaction. */
export async function openSubRun(opening: Opening, reference: string): Promise<Opened> {
  const { dependencies, sql, work, compiled, step, toldTo, scope } = opening;
  const { workspaceId, runId } = work.claim;
  const given = asObject(await dependencies.evaluator.evaluate(compiled.input, scope));
  const isSame = async (last: ContinuedRun) =>
    isDeepStrictEqual(await checkedInput(dependencies.evaluator, await readPlanVersion(sql, last), given), last.input);
  const continued = await continueSubRun(sql, { workspaceId, runId, stepPath: step.path }, isSame);
  const called = continued ?? (await startSubRun(opening, reference, given));
  await pauseWithParent(sql, { workspaceId, runId: called.runId, parentRunId: runId });
  const { waitId, endsInMs } = await openWaitRow(sql, work.claim, step.path, 'run', null, { childRunId: called.runId, toldTo });
  const isOver = continued !== null && (await settleWithEnded(sql, waitId));
  return { waitId, endsInMs: isOver ? 0 : endsInMs, waitingFor: waitingForRun(step, called) };
}

const waitingForRun = (step: TakenStep, { runId, planName, planVersion }: Omit<ContinuedRun, 'input'>): WaitingFor => ({
  kind: 'run',
  ref: runId,
  until: null,
  text: `${step.path} waits for ${runId}, a run of ${planName}@${planVersion}.`,
});

async function startSubRun({ dependencies, sql, work, step }: Opening, reference: string, given: JsonObject): Promise<Omit<ContinuedRun, 'input'>> {
  const { workspaceId, runId } = work.claim;
  const calling = await readCallingRun(sql, runId);
  if (calling.depth >= planLimits.depth) throw tooDeep(step.path);
  const plan = await findPlan(sql, pinned(reference, calling));
  const input = await checkedInput(dependencies.evaluator, plan, given);
  const childRunId = subRunId(runId, step);
  const bound = await boundOf(dependencies.evaluator.evaluate, plan, input, childRunId);
  const { startedBy, responsible, origin, deadlineAt, planPins, useCache, priority } = calling;
  const parent = {
    runId,
    rootRunId: calling.rootRunId ?? runId,
    calledFrom: calling.calledFrom === null ? step.path : `${calling.calledFrom}/${step.path}`,
    depth: calling.depth + 1,
    deadlineAt,
  };
  await insertRun(sql, { workspaceId, actor: startedBy, responsible, origin, request: { cache: useCache, priority } }, plan, {
    runId: childRunId,
    input,
    planPins,
    bound,
    parent,
  });
  return { runId: childRunId, planName: plan.name, planVersion: plan.version };
}

function pinned(reference: string, { planPins }: CallingRun): string {
  const version = planPins?.[reference];
  return version === undefined ? reference : `${reference}@${version}`;
}

/**
 * The same for the same try at the step, and for no other: a try is known by its fence. As a UUIDv7 (RFC 9562) with the time of the run that calls, so that it
 * sorts near it.
 */
function subRunId(runId: string, step: TakenStep): string {
  const digest = createHash('sha256').update(`${runId}/${step.path}#${step.fence}`).digest('hex');
  const time = runId.slice('run_'.length, 'run_'.length + 13);
  const variant = ((Number.parseInt(digest.slice(3, 4), 16) & 0x3) | 0x8).toString(16);
  return `run_${time}-7${digest.slice(0, 3)}-${variant}${digest.slice(4, 7)}-${digest.slice(7, 19)}`;
}

const tooDeep = (stepPath: string): KosError =>
  new KosError({
    code: 'sub_plan_too_deep',
    message: `${stepPath} would start a run more than ${planLimits.depth} deep below the first one.`,
    fix: 'Let fewer plans run each other.',
    status: 409,
  });

/** The sub-run has ended: its output is the step's, its failure the step's, too, when no further try is left. One that somebody has retried meanwhile is waited for again. */
export async function endSubRun(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  compiled: CompiledStep,
  step: TakenStep,
  waitId: string,
): Promise<WaitOpened & { waitingFor?: WaitingFor }> {
  const child = await readSubRun(sql, waitId);
  if (child !== null && !isFinalRunStatus(child.status)) {
    const waitingFor = waitingForRun(step, { runId: child.id, ...child });
    await reopenWait(sql, waitId);
    await markStepWaiting(sql, work.claim, step, waitingFor);
    return { waitId, endsInMs: null, waitingFor };
  }
  const costMicros = child === null ? 0 : child.costMicros - child.paidMicros;
  const facts = child === null ? {} : { runId: child.id, plan: `${child.planName}@${child.planVersion}`, paidMicros: child.costMicros };
  if (child?.status === 'succeeded') {
    await endStep(sql, work.claim, step, { status: 'succeeded', output: child.output, error: null, costMicros, metadata: facts });
    if (compiled.fallbackOf !== null && step.iteration === undefined)
      await standIn(sql, { runId: work.claim.runId, failed: compiled.fallbackOf, fallback: step.path });
    return { outcome: 's' };
  }
  if (child !== null && (await isToBeContinued(sql, { workspaceId: work.claim.workspaceId, runId: work.claim.runId, stepPath: step.path }))) {
    await setBack(sql, work.claim, step);
    return { retryInMs: 0 };
  }
  const error = errorOf(step, child);
  if (child?.status === 'failed' && step.attempt < compiled.retry.maxAttempts && !compiled.retry.nonRetryable.includes(error.code)) {
    const retryInMs = retryDelayMs(compiled.retry, step.attempt, null);
    await addCosts(sql, { runId: work.claim.runId, path: step.path }, costMicros);
    await recordRetry(sql, work.claim, step, { error }, retryInMs, false);
    return { retryInMs };
  }
  return { outcome: await failStep(dependencies, sql, { ...work, compiled }, step, error, { metadata: facts, costMicros }) };
}

function errorOf(step: TakenStep, child: SubRun | null): OutcomeError {
  if (child === null) return { code: 'sub_run_deleted', message: `The run that ${step.path} waited for was deleted.`, fix: null, stepPath: step.path };
  const { id, planName, planVersion, status, error } = child;
  const place = error === null || error.stepPath === null ? '' : `, at ${error.stepPath}`;
  const happened = status === 'failed' ? 'has failed' : `was ${status}`;
  const because = error === null ? '' : `: ${error.message} (${error.code}${place})`;
  return {
    code: `sub_run_${status}`,
    message: `The run ${id} of ${planName}@${planVersion} ${happened}${because}`,
    fix: `kai run get ${id}`,
    stepPath: step.path,
  };
}
