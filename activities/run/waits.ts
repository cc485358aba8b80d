import { KosError } from '#core/errors.ts';
import type { WaitOpened } from '#core/engine/outcome.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Json } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { endStep, endStepSkipped, markRunWaiting } from '#services/runs/ledger/record-outcome.ts';
import { type TakenStep, takeStep } from '#services/runs/ledger/take-step.ts';
import { expireApproval } from '#services/runs/ledger/approvals.ts';
import { closeWait, type Deadline, findOpenWait, lockWait, markStepWaiting, openWaitRow } from '#services/runs/ledger/waits.ts';
import { lockSignals } from '#services/signals/ledger.ts';
import { itemValue } from './artifact-lines.ts';
import { endApproval, escalateApproval, openApproval } from './approvals.ts';
import { openCheck, settleCheck } from './check-wait.ts';
import type { RunWork } from './close-run.ts';
import { meetsWhen } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { classifyFailure } from './failure.ts';
import { stepOf } from './items.ts';
import { asObject } from './resolve-input.ts';
import type { EndedAtOnce, Opened, Opening, SkippedAtOnce } from './opening.ts';
import { endSignal, openSignal } from './signal-wait.ts';
import { openRound, settleRound } from './repeated-sub-run.ts';
import { placeOf } from './step-place.ts';
import { endSubRun, openSubRun } from './sub-run.ts';

/** A step that waits, or one item of it. */
export interface WaitPlace {
  step: number;
  item: number | null;
}

export interface OpenWaitOptions extends WaitPlace {
  alone: boolean;
  /** The workflow that is to be told of the wait's end; null: the run's own. */
  toldTo: string | null;
}

/** Opens a wait as a row with a deadline. A repeat finds the row that stands. */
export async function openWait(dependencies: RunActivityDependencies, work: RunWork, options: OpenWaitOptions): Promise<WaitOpened> {
  const { item, alone } = options;
  const compiled = stepOf(work, options.step);
  if (compiled.repeat !== null) return await openRound(dependencies, work, { compiled, policy: compiled.repeat, item }, options);
  const place = placeOf(compiled, item);
  const { claim } = work;
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    if (compiled.kind === 'signal') await lockSignals(sql, claim.runId);
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const standing = await findOpenWait(sql, claim.runId, place.path);
    if (standing !== null) return standing;
    const step = await takeStep(sql, claim, place);
    if (!step.taken) return { outcome: step.outcome };
    assertNotPaused(header, claim);
    const startedAt = await markWorking(sql, claim, header);
    try {
      const gated = gatedSteps(work, compiled);
      const own = await itemValue(dependencies, sql, { ...work, compiled }, step);
      const scope = makeScope(work.facts, startedAt, await loadResults(sql, claim.runId, readsOf(compiled, gated)), own);
      if (item === null && !(await meetsWhen(dependencies.evaluator, compiled, scope))) {
        return await endSkipped(sql, work, step, 'its "when" is false');
      }
      const opened = await open({ dependencies, sql, work, compiled, step, toldTo: options.toldTo, scope }, gated);
      if ('skipped' in opened) return await endSkipped(sql, work, step, opened.skipped);
      if ('output' in opened) {
        await endStep(sql, claim, step, { status: 'succeeded', output: opened.output, error: null, costMicros: 0, metadata: opened.metadata });
        return { outcome: 's' };
      }
      await markStepWaiting(sql, claim, step, opened.waitingFor);
      if (alone) await markRunWaiting(sql, claim, opened.waitingFor);
      return { waitId: opened.waitId, endsInMs: opened.endsInMs };
    } catch (thrown) {
      const failure = classifyFailure(thrown, place.path);
      if (failure === null) throw thrown;
      return { outcome: await failStep(dependencies, sql, { ...work, compiled }, step, failure.error) };
    }
  });
}

async function endSkipped(sql: TransactionSql, { claim }: RunWork, step: TakenStep, reason: string): Promise<WaitOpened> {
  await endStepSkipped(sql, claim, step, reason);
  return { outcome: 'k' };
}

async function open(opening: Opening, gated: CompiledStep[]): Promise<Opened | EndedAtOnce | SkippedAtOnce> {
  const { definition } = opening.compiled;
  if ('approval' in definition) return await openApproval(opening, gated);
  if ('signal' in definition) return await openSignal(opening, definition.signal);
  if ('plan' in definition) return await openSubRun(opening, definition.plan);
  const { check } = opening.compiled;
  return check === null ? await openTimer(opening) : await openCheck(opening, check);
}

const gatedSteps = (work: RunWork, compiled: CompiledStep): CompiledStep[] => work.executable.plan.steps.filter((step) => step.gatedBy === compiled.id);

const readsOf = (compiled: CompiledStep, gated: CompiledStep[]): string[] => [
  ...new Set([...compiled.reads.when, ...compiled.reads.input, ...gated.flatMap((step) => step.reads.input)]),
];

async function openTimer({ dependencies, sql, work, compiled, step, toldTo, scope }: Opening): Promise<Opened> {
  const deadline = deadlineOf(compiled, asObject(await dependencies.evaluator.evaluate(compiled.input, scope)));
  const { waitId, endsInMs, expiresAt } = await openWaitRow(sql, work.claim, step.path, 'timer', deadline, { toldTo });
  const until = expiresAt?.toISOString() ?? null;
  return { waitId, endsInMs, waitingFor: { kind: 'timer', ref: waitId, until, text: `${step.path} waits until ${until ?? 'it is ended'}.` } };
}

function deadlineOf(compiled: CompiledStep, wait: Record<string, Json>): Deadline {
  if (typeof wait.forMs === 'number' && wait.forMs >= 0) return { inMs: wait.forMs };
  const at = typeof wait.until === 'string' ? new Date(wait.until) : null;
  if (at !== null && Number.isFinite(at.getTime())) return { at };
  throw new KosError({
    code: 'wait_invalid',
    message: `The wait of ${compiled.id} is neither a number of milliseconds nor an ISO 8601 instant: ${JSON.stringify(wait).slice(0, 200)}.`,
    fix: 'Give forMs a number ≥ 0, or until an instant such as 2031-01-01T00:00:00Z.',
    status: 422,
  });
}

/** Looks whether a wait is over by what Postgres says: a decision, or its clock. Not over: answers when to look again. */
export async function settleWait(
  dependencies: RunActivityDependencies,
  work: RunWork,
  at: WaitPlace,
  { waitId, signal }: { waitId: string; signal: AbortSignal },
): Promise<WaitOpened> {
  const compiled = stepOf(work, at.step);
  if (compiled.repeat !== null) return await settleRound(dependencies, work, { compiled, policy: compiled.repeat, item: at.item }, waitId);
  if (compiled.check !== null) return await settleCheck(dependencies, work, { compiled, policy: compiled.check, item: at.item, waitId, signal });
  const place = placeOf(compiled, at.item);
  const { claim } = work;
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    if (compiled.kind === 'signal') await lockSignals(sql, claim.runId);
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const wait = await lockWait(sql, waitId);
    if (wait === null || wait.stepPath !== place.path) throw new Error(`The wait ${waitId} is not one of ${place.path} in ${claim.runId}.`);
    if (wait.status === 'open' && !wait.due) {
      return wait.kind === 'approval'
        ? await escalateApproval(sql, work, compiled, { waitId, stepPath: place.path, endsInMs: wait.endsInMs })
        : { waitId, endsInMs: wait.endsInMs };
    }
    const step = await takeStep(sql, claim, place);
    if (!step.taken) return { outcome: step.outcome };
    await markWorking(sql, claim, header);
    switch (wait.kind) {
      case 'timer':
        return await endTimer(sql, work, step, waitId, wait.expiresAt);
      case 'check':
        throw new Error(`The wait ${waitId} has a check, and ${place.path} has none.`);
      case 'signal':
        return await endSignal(dependencies, sql, work, compiled, step, waitId);
      case 'run': {
        const { waitingFor: _, ...answer } = await endSubRun(dependencies, sql, work, compiled, step, waitId);
        return answer;
      }
      case 'approval':
        if (wait.status === 'open') await expireApproval(sql, claim, waitId, step.path);
        return await endApproval(dependencies, sql, work, compiled, step);
    }
  });
}

async function endTimer(sql: TransactionSql, work: RunWork, step: TakenStep, waitId: string, expiresAt: Date | null): Promise<WaitOpened> {
  await closeWait(sql, waitId, 'settled');
  const output = { until: expiresAt?.toISOString() ?? null };
  await endStep(sql, work.claim, step, { status: 'succeeded', output, error: null, costMicros: 0, metadata: {} });
  return { outcome: 's' };
}
