import type { Claim } from '#core/engine/claim.ts';
import type { Ending } from '#core/engine/state.ts';
import type { OutcomeError } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { nameOf } from '#services/people/name-of.ts';
import { closeRunRow, closeWhatIsOpen, firstFailure, type RunEnding } from '#services/runs/ledger/close-run.ts';
import { assertClaim, type RunFacts, readHeader } from '#services/runs/ledger/header.ts';
import { tellCaller } from '#services/runs/ledger/sub-runs.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { classifyFailure } from './failure.ts';
import type { KnownRun } from './known-runs.ts';
import { withUndone } from './tell-undone.ts';

export interface RunWork {
  claim: Claim;
  facts: RunFacts;
  executable: ExecutablePlan;
  known: KnownRun;
}

/** For the step that alone remains: its good end and the run's are one transaction. */
export function closeWithLastStep(dependencies: RunActivityDependencies, work: RunWork, closed: () => void): (sql: TransactionSql) => Promise<void> {
  return async (sql) => {
    await closeRunRow(sql, work.claim, await endingByOutput(dependencies, sql, work));
    if (work.facts.parentRunId !== null) await tellCaller(sql, work.claim);
    closed();
  };
}

export async function closeRun(dependencies: RunActivityDependencies, work: RunWork, ending: Ending | null): Promise<void> {
  await dependencies.database.inWorkspace(work.claim.workspaceId, async ({ sql }) => {
    assertClaim(await readHeader(sql, work.claim), work.claim);
    const end = await endingOf(dependencies, sql, work, ending);
    if (end.status !== 'succeeded') await closeWhatIsOpen(sql, work.claim.workspaceId, work.claim.runId);
    const error =
      ending === null || end.error === null ? end.error : await withUndone(sql, { runId: work.claim.runId, shape: work.executable.shape }, end.error);
    await closeRunRow(sql, work.claim, { ...end, error });
    if (work.facts.parentRunId !== null) await tellCaller(sql, work.claim);
  });
}

async function endingOf(dependencies: RunActivityDependencies, sql: TransactionSql, work: RunWork, ending: Ending | null): Promise<RunEnding> {
  switch (ending) {
    case null:
      return await endingByOutput(dependencies, sql, work);
    case 'failed':
      return { status: 'failed', output: null, error: (await firstFailure(sql, work.claim.runId, ['failed', 'uncertain'])) ?? unexplained };
    case 'timed_out':
      // What failed before its time ran out says more. An uncertain step may be one that the deadline itself stopped.
      return { status: 'failed', output: null, error: (await firstFailure(sql, work.claim.runId, ['failed'])) ?? (await runTimedOut(sql, work)) };
    case 'cancelled':
      return { status: 'cancelled', output: null, error: await cancelReason(sql, work.claim.runId) };
  }
}

const unexplained: OutcomeError = { code: 'step_failed', message: 'A step failed.', fix: 'See which: kai run get', stepPath: null };

/** Which of its bounds ended the run: its caller's deadline, the time that its plan or its start gives it, or the deadline that was named at its start. */
async function runTimedOut(sql: TransactionSql, { claim, executable }: RunWork): Promise<OutcomeError> {
  const [run] = await sql<{ deadlineAt: Date; timeoutMs: number | null; caller: string | null }[]>`
    select r.deadline_at as "deadlineAt", case when r.deadline_at - make_interval(secs => r.timeout_ms / 1000.0) >= r.created_at then r.timeout_ms end::float8 as "timeoutMs",
      (select p.id from kos.runs p where p.id = r.parent_run_id and p.deadline_at = r.deadline_at) as caller
    from kos.runs r where r.id = ${claim.runId} and r.deadline_at is not null`;
  return { code: 'run_timeout', stepPath: null, ...describeBound(run ?? null, executable.shape.timeoutMs) };
}

function describeBound(
  run: { deadlineAt: Date; timeoutMs: number | null; caller: string | null } | null,
  plansMs: number | null,
): Pick<OutcomeError, 'message' | 'fix'> {
  const { deadlineAt = null, timeoutMs = plansMs, caller = null } = run ?? {};
  const until = deadlineAt?.toISOString() ?? 'its deadline';
  if (caller !== null)
    return { message: `The run did not end by ${until}, when ${caller}, which started it, must have ended.`, fix: `Give that run more time.` };
  if (timeoutMs === null) return { message: `The run did not end by its deadline, ${until}.`, fix: 'Start it again with a later deadline.' };
  if (timeoutMs === plansMs) return { message: `The run did not end within the ${timeoutMs} ms that its plan allows.`, fix: 'Raise timeoutMs of the plan.' };
  return { message: `The run did not end within the ${timeoutMs} ms that it was started with.`, fix: 'Start it again with a larger timeoutMs.' };
}

async function cancelReason(sql: TransactionSql, runId: string): Promise<OutcomeError> {
  const [row] = await sql<
    { by: string | null; reason: string | null }[]
  >`select cancel_requested_by as by, cancel_reason as reason from kos.runs where id = ${runId}`;
  const by = row?.by ?? null;
  if (row === undefined || by === null) return { code: 'cancelled', message: 'The run was cancelled in Temporal, outside kOS.', fix: null, stepPath: null };
  return {
    code: 'cancelled',
    message: `The run was cancelled by ${await nameOf(sql, by)}${row.reason === null ? '.' : `: ${row.reason}`}`,
    fix: null,
    stepPath: null,
  };
}

/** The plan's `output` decides: where it cannot be evaluated, the run has failed though its steps have not. */
async function endingByOutput(dependencies: RunActivityDependencies, sql: TransactionSql, work: RunWork): Promise<RunEnding> {
  const { plan } = work.executable;
  const results = work.known.resultsOf(plan.outputReads) ?? (await loadResults(sql, work.claim.runId, plan.outputReads));
  try {
    const output = await dependencies.evaluator.evaluate(plan.output, makeScope(work.facts, new Date(0), results, null));
    return { status: 'succeeded', output, error: null };
  } catch (thrown) {
    const failure = classifyFailure(thrown, 'output');
    if (failure === null) throw thrown;
    return { status: 'failed', output: null, error: { ...failure.error, stepPath: null } };
  }
}
