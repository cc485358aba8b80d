import type { WaitOpened } from '#core/engine/outcome.ts';
import type { CheckPolicy, CompiledStep } from '#core/plan/compiled.ts';
import type { Scope } from '#core/expression/scope.ts';
import { roundPath } from '#core/plan/step-path.ts';
import { digestOf } from '#core/plan/load.ts';
import type { Json } from '#schemas/json.ts';
import type { OutcomeError } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { type CheckRow, describeCheck, markChecked, readCheck, recordLook } from '#services/runs/ledger/checks.ts';
import { effectKeyOf, type EffectStatus } from '#services/runs/ledger/effects.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import { readItem, type StepPlace, type TakenStep, takeStep } from '#services/runs/ledger/take-step.ts';
import { closeWait, earlyAtMostMs, lockWait, openWaitRow, readAlarm } from '#services/runs/ledger/waits.ts';
import { executeTool } from '#services/tools/execute.ts';
import { withinTime } from '#services/time-limit.ts';
import { itemValue } from './artifact-lines.ts';
import type { RunWork } from './close-run.ts';
import { holds } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { AttemptLost, classifyFailure, retryDelayMs, type StepFailure, stepTimedOut } from './failure.ts';
import type { Opened, Opening } from './opening.ts';
import { makeToolContext, toolOf } from './perform-step.ts';
import { placeOf } from './step-place.ts';

export async function openCheck({ sql, work, step, toldTo }: Opening, policy: CheckPolicy): Promise<Opened> {
  const { waitId, expiresAt } = await openWaitRow(sql, work.claim, step.path, 'check', { inMs: policy.expiresInMs }, { toldTo });
  await markChecked(sql, waitId);
  const waitingFor = describeCheck(step.path, waitId, policy.tool, { looks: 0, at: null, next: null, expiresAt, failed: null });
  return { waitId, endsInMs: 0, waitingFor };
}

/** A look that is to be taken now. */
interface Look {
  compiled: CompiledStep;
  policy: CheckPolicy;
  place: StepPlace;
  waitId: string;
  row: CheckRow;
  scope: Scope;
  input: Json;
}

/** What came of a look: an answer that meets the condition or does not, or a failure. */
type Seen = { met: boolean; output: Json } | { failure: StepFailure };

/** Looks whether what a wait is for is there. The call stands between two transactions, as a step's does; a lost worker's is made again, under the same key. */
export async function settleCheck(
  dependencies: RunActivityDependencies,
  work: RunWork,
  at: { compiled: CompiledStep; policy: CheckPolicy; item: number | null; waitId: string; signal: AbortSignal },
): Promise<WaitOpened> {
  const due = await beforeLook(dependencies, work, at);
  if (!('row' in due)) return due;
  const seen = await look(dependencies, work, due, at.signal);
  return await afterLook(dependencies, work, due, seen);
}

/** The look to take; or the wait's end, or when to come again. */
async function beforeLook(
  dependencies: RunActivityDependencies,
  work: RunWork,
  at: { compiled: CompiledStep; policy: CheckPolicy; item: number | null; waitId: string },
): Promise<Look | WaitOpened> {
  const { compiled, policy, item, waitId } = at;
  const { claim } = work;
  const place = placeOf(compiled, item);
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const wait = await lockWait(sql, waitId);
    if (wait === null || wait.stepPath !== place.path) throw new Error(`The wait ${waitId} is not one of ${place.path} in ${claim.runId}.`);
    if (wait.status !== 'open' || wait.due) return await end(sql, work, place, (step) => endUnmet(dependencies, sql, work, { compiled, policy, waitId, step }));
    assertNotPaused(header, claim);
    const row = await readCheck(sql, waitId);
    if (row.leftMs > earlyAtMostMs) return await readAlarm(sql, waitId);
    const results = await loadResults(sql, claim.runId, [...new Set([...compiled.reads.input, ...compiled.reads.check])]);
    try {
      const value = await itemValue(dependencies, sql, { ...work, compiled }, await readItem(sql, claim, place));
      const scope = makeScope(work.facts, header.startedAt ?? new Date(0), results, value);
      const input = await dependencies.evaluator.evaluate(compiled.input, scope);
      await recordCall(dependencies, sql, work, { place, row, policy, input });
      return { compiled, policy, place, waitId, row, scope, input };
    } catch (thrown) {
      const failure = classifyFailure(thrown, place.path);
      if (failure === null) throw thrown;
      return await end(sql, work, place, (taken) => fail(dependencies, sql, work, { compiled, waitId, step: taken }, failure.error));
    }
  });
}

/** The step's row is taken only to end it: until then it waits. */
async function end(sql: TransactionSql, work: RunWork, place: StepPlace, ending: (step: TakenStep) => Promise<WaitOpened>): Promise<WaitOpened> {
  const step = await takeStep(sql, work.claim, place);
  if (!step.taken) return { outcome: step.outcome };
  await markWorking(sql, work.claim, await readHeader(sql, work.claim));
  return await ending(step);
}

/** What may change something outside stands in the ledger before it is tried: one row for the whole wait, and how often it was asked. */
async function recordCall(
  { tools }: RunActivityDependencies,
  sql: TransactionSql,
  { claim }: RunWork,
  { place, row, policy, input }: Pick<Look, 'place' | 'row' | 'policy' | 'input'>,
): Promise<void> {
  if (toolOf({ tools }, policy.tool).effect === 'pure') return;
  const key = effectKeyOf(claim.runId, place.path);
  await sql`
    insert into kos.effects as e (key, workspace_id, run_id, step_path, tool, status, fence, input_digest, calls)
    values (${key}, ${claim.workspaceId}, ${claim.runId}, ${place.path}, ${policy.tool}, 'intended', ${row.looks + 1}, ${digestOf(input)}, 1)
    on conflict (key) do update set status = 'intended', fence = excluded.fence, input_digest = excluded.input_digest, calls = e.calls + 1, updated_at = clock_timestamp()`;
}

async function look(dependencies: RunActivityDependencies, { claim }: RunWork, due: Look, stop: AbortSignal): Promise<Seen> {
  const { compiled, policy, place, row, scope, input } = due;
  // Each look is a call of its own to the outside; the same look is the same call, however often a worker is lost over it.
  const called = {
    ...place,
    path: roundPath(place.path, row.looks),
    taken: true as const,
    fence: 0,
    attempt: row.failures + 1,
    input: null,
    line: null,
    wasRunning: false,
    elapsedMs: 0,
  };
  return await withinTime(stop, policy.timeoutMs, async (limit) => {
    try {
      const tool = toolOf(dependencies, policy.tool);
      const context = await makeToolContext(dependencies, { claim, step: called, compiled, input, signal: limit.signal, repeated: false });
      const output = await executeTool(tool, input, context);
      return { met: await isMet(dependencies, due, { ...scope, check: { output } }), output };
    } catch (thrown) {
      if (stop.reason instanceof AttemptLost) throw stop.reason;
      const failure = classifyFailure(limit.passed && !stop.aborted ? stepTimedOut(place.path, policy.timeoutMs, 'unknown') : thrown, place.path);
      if (failure === null) throw thrown;
      return { failure };
    }
  });
}

/** Throws KosError `check_not_boolean`. */
const isMet = ({ evaluator }: RunActivityDependencies, { policy, place }: Look, scope: Scope): Promise<boolean> =>
  holds(
    evaluator,
    { template: policy.condition, code: 'check_not_boolean', name: `The "until" of ${place.path}`, example: 'check.output.status == 200' },
    scope,
  );

async function afterLook(dependencies: RunActivityDependencies, work: RunWork, due: Look, seen: Seen): Promise<WaitOpened> {
  const { claim } = work;
  const { place, policy, waitId, row, compiled } = due;
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    assertClaim(await readHeader(sql, claim), claim);
    // Somebody else has looked, or ended it, meanwhile.
    const wait = await lockWait(sql, waitId);
    if (wait?.status !== 'open' || (await readCheck(sql, waitId)).looks !== row.looks) return await readAlarm(sql, waitId);
    await sql`update kos.effects set status = ${effectOf(seen)}, updated_at = clock_timestamp() where key = ${effectKeyOf(claim.runId, place.path)}`;
    if ('failure' in seen) {
      const { error, retryable, retryAfterMs } = seen.failure;
      if (!retryable || policy.retry.nonRetryable.includes(error.code))
        return await end(sql, work, place, (step) => fail(dependencies, sql, work, { compiled, waitId, step }, error));
      const attempt = row.failures + 1;
      const inMs =
        attempt < policy.retry.maxAttempts
          ? retryDelayMs(policy.retry, attempt, retryAfterMs)
          : Math.max(policy.everyMs, Math.min(retryAfterMs ?? 0, policy.retry.retryAfterAtMostMs));
      await recordLook(sql, claim, { stepPath: place.path, waitId, failed: `${error.message} (${error.code})`, inMs }, policy.tool);
      return await readAlarm(sql, waitId);
    }
    if (!seen.met) {
      await recordLook(sql, claim, { stepPath: place.path, waitId, failed: null, inMs: policy.everyMs }, policy.tool);
      return await readAlarm(sql, waitId);
    }
    return await end(sql, work, place, (step) => endMet(sql, work, { waitId, step, row }, seen.output));
  });
}

const effectOf = (seen: Seen): EffectStatus => ('failure' in seen ? (seen.failure.effect === 'none' ? 'none' : 'intended') : 'happened');

async function endMet(
  sql: TransactionSql,
  { claim }: RunWork,
  { waitId, step, row }: { waitId: string; step: TakenStep; row: CheckRow },
  seen: Json,
): Promise<WaitOpened> {
  await closeWait(sql, waitId, 'settled');
  const [closed] = await sql<{ at: Date }[]>`
    update kos.waits set looks = looks + 1, last_look_at = clock_timestamp() where id = ${waitId} returning last_look_at as at`;
  const output = { met: true, output: seen, checks: row.looks + 1, at: closed?.at.toISOString() ?? null };
  await endStep(sql, claim, step, { status: 'succeeded', output, error: null, costMicros: 0, metadata: { checks: row.looks + 1 } });
  return { outcome: 's' };
}

interface Ended {
  compiled: CompiledStep;
  waitId: string;
  step: TakenStep;
}

/** Its time is over, and what it waits for is not there. */
async function endUnmet(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  ended: Ended & { policy: CheckPolicy },
): Promise<WaitOpened> {
  const { policy, waitId, step } = ended;
  const { looks } = await readCheck(sql, waitId);
  if (policy.onExpiry === 'fail') {
    const error: OutcomeError = {
      code: 'wait_expired',
      message: `What ${step.path} waits for did not come within ${policy.expiresInMs} ms: ${policy.tool} was asked ${looks} times.`,
      fix: 'Raise expiresInMs of the wait, or let its onExpiry be continue.',
      stepPath: step.path,
    };
    return await fail(dependencies, sql, work, ended, error, 'expired');
  }
  await closeWait(sql, waitId, 'expired');
  const output = { met: false, output: null, checks: looks, at: null };
  await endStep(sql, work.claim, step, { status: 'succeeded', output, error: null, costMicros: 0, metadata: { checks: looks, expired: true } });
  return { outcome: 's' };
}

async function fail(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  { compiled, waitId, step }: Ended,
  error: OutcomeError,
  closes: 'settled' | 'expired' = 'settled',
): Promise<WaitOpened> {
  await closeWait(sql, waitId, closes);
  return { outcome: await failStep(dependencies, sql, { ...work, compiled }, step, error) };
}
