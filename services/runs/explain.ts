import { peopleWhoApproved } from '#core/approval/tally.ts';
import type { ApprovalDecision } from '#schemas/approval.ts';
import { explain, type Explanation } from '#core/engine/explain.ts';
import type { ApprovalFacts, RoundFacts, RunFactsForExplain, StepFacts, WaitingItemFacts } from '#core/engine/explain-facts.ts';
import { type Ending, isFinalRunStatus, type RunStatus, type StepStatus, type WaitingFor } from '#schemas/run.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import type { ExecutionFacts, RunWorkflows } from '#services/temporal/run-workflows.ts';
import { countWorkers } from '#services/workers/presence.ts';
import { readUndoing } from './explain-undoing.ts';
import { isTolerated, outcomeOf } from './ledger/take-step.ts';
import { runNotFound } from './read.ts';
import { readWaitToStart } from './wait-to-start.ts';

interface RunRow {
  status: RunStatus;
  createdAt: Date;
  startedAt: Date | null;
  deadlineAt: Date | null;
  waitingFor: WaitingFor | null;
  cancelRequestedAt: Date | null;
  pausedAt: Date | null;
  ending: Ending | null;
  unnumberedSince: Date | null;
  now: Date;
  document: JsonObject;
  shape: PlanShape;
}

interface StepRow {
  step: number;
  path: string;
  status: StepStatus;
  attempt: number;
  startedAt: Date | null;
  finishedAt: Date | null;
  waitingFor: WaitingFor | null;
  tolerated: boolean;
  items: number | null;
}

/** Temporal is asked for this long at most: an explanation must come even when it does not answer. */
const answerWithinMs = 2_000;

/** Why a run does not go on. Throws KosError `run_not_found`. */
export async function explainRun(workflows: RunWorkflows, transaction: Transaction, runId: string): Promise<Explanation> {
  const { sql } = transaction;
  const [run] = await sql<RunRow[]>`
    select r.status, r.created_at as "createdAt", r.started_at as "startedAt", r.deadline_at as "deadlineAt", r.waiting_for as "waitingFor", r.cancel_requested_at as "cancelRequestedAt",
      r.paused_at as "pausedAt", r.ending, clock_timestamp() as now, (select min(at) from kos.events where run_id = r.id and seq is null) as "unnumberedSince", v.document, v.shape
    from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version where r.id = ${runId}`;
  if (run === undefined) throw runNotFound(runId);
  const [steps, waitingItems, waitsToStart, pendingStart, undoing, pollers, execution] = await Promise.all([
    readSteps(sql, runId, run),
    readWaitingItems(sql, runId, run),
    readWaitToStart(sql, runId),
    readPendingStart(sql, runId),
    readUndoing(sql, runId, run.ending, run.shape),
    answered(countWorkers(sql, workflows)),
    answered(workflows.describe(runId).then((found) => found ?? 'missing')),
  ]);
  return explain({
    runId,
    status: run.status,
    final: isFinalRunStatus(run.status),
    createdAt: run.createdAt.toISOString(),
    startedAt: run.startedAt?.toISOString() ?? null,
    deadlineAt: run.deadlineAt?.toISOString() ?? null,
    waitingFor: run.waitingFor,
    waitsToStart,
    cancelRequestedAt: run.cancelRequestedAt?.toISOString() ?? null,
    pausedAt: run.pausedAt?.toISOString() ?? null,
    unnumberedSince: run.unnumberedSince?.toISOString() ?? null,
    now: run.now.toISOString(),
    shape: run.shape,
    stepIds: Object.keys(run.document.steps as JsonObject),
    steps,
    waitingItems,
    pollers,
    execution: executionState(execution),
    workflowTaskAttempt: execution === null || execution === 'missing' ? 0 : execution.workflowTaskAttempt,
    activityAttempt: execution === null || execution === 'missing' ? 0 : execution.activityAttempt,
    pendingStart,
    undoing,
  });
}

/** Null: no answer in time. */
async function answered<Answer>(asking: Promise<Answer>): Promise<Answer | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), answerWithinMs);
  try {
    // An error of Temporal's is an answer here too: it says that Temporal cannot be asked.
    return await Promise.race([asking.catch(() => null), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function executionState(execution: ExecutionFacts | 'missing' | null): RunFactsForExplain['execution'] {
  if (execution === null) return 'unreachable';
  if (execution === 'missing') return 'missing';
  return execution.status === 'running' ? 'running' : 'closed';
}

/** Whether a step asks for signals whose payload fits a schema. */
function isTyped({ document }: Pick<RunRow, 'document'>, step: number): boolean {
  const definition = Object.values(document['steps'] as JsonObject)[step] as JsonObject;
  return typeof definition['signal'] === 'object' && definition['signal'] !== null && 'schema' in definition['signal'];
}

async function readSteps(sql: TransactionSql, runId: string, run: Pick<RunRow, 'document' | 'shape'>): Promise<(StepFacts | undefined)[]> {
  const rows = await sql<StepRow[]>`
    select step, path, status, attempt, started_at as "startedAt", finished_at as "finishedAt", waiting_for as "waitingFor", ${isTolerated(sql)} as tolerated, (metadata->>'items')::int as items
    from kos.steps where run_id = ${runId} and item is null and iteration is null and undoes is null`;
  const rounds = await readRounds(sql, runId);
  const counts = await sql<
    { step: number; count: number; ended: number; running: number; retrying: number; waiting: number; failed: number; uncertain: number; nextAt: Date | null }[]
  >`
    select step, count(*)::int as count, count(*) filter (where status not in ('pending', 'running', 'retrying', 'waiting'))::int as ended,
      count(*) filter (where status = 'running')::int as running, count(*) filter (where status = 'retrying')::int as retrying,
      count(*) filter (where status = 'waiting')::int as waiting,
      count(*) filter (where status in ('failed', 'uncertain'))::int as failed, count(*) filter (where status = 'uncertain')::int as uncertain,
      min(retry_at) filter (where status = 'retrying') as "nextAt"
    from kos.steps where run_id = ${runId} and item is not null and iteration is null and undoes is null group by step`;
  const approvals = await readOpenApprovals(sql, runId);
  const facts: (StepFacts | undefined)[] = run.shape.steps.map(() => undefined);
  for (const row of rows) {
    const counted = counts.find((count) => count.step === row.step);
    const items = counted === undefined ? null : { ...counted, nextAt: counted.nextAt?.toISOString() ?? null };
    facts[row.step] = {
      path: row.path,
      status: row.status,
      // One that is uncertain is not over: a person has the last word.
      outcome: row.status === 'uncertain' ? null : outcomeOf(row.status, row.tolerated),
      attempt: row.attempt,
      startedAt: row.startedAt?.toISOString() ?? null,
      finishedAt: row.finishedAt?.toISOString() ?? null,
      waitingFor: row.waitingFor,
      approval: approvals.get(row.path) ?? null,
      items,
      uncertainItems: counted?.uncertain ?? 0,
      typed: isTyped(run, row.step),
      round: rounds.get(row.step) ?? null,
    };
  }
  return facts;
}

/** The round that each step is at. */
async function readRounds(sql: TransactionSql, runId: string): Promise<Map<number, RoundFacts>> {
  const rows = await sql<(Omit<RoundFacts, 'startedAt'> & { step: number; startedAt: Date | null })[]>`
    select distinct on (step) step, path, iteration, attempt, started_at as "startedAt" from kos.steps
    where run_id = ${runId} and item is null and iteration is not null and undoes is null order by step, iteration desc`;
  return new Map(rows.map(({ step, startedAt, ...round }) => [step, { ...round, startedAt: startedAt?.toISOString() ?? null }]));
}

/** So many items that wait are explained one by one; their step counts the others. */
const explainedItems = 20;

type WaitingItemRow = Omit<StepRow, 'items' | 'tolerated' | 'attempt' | 'finishedAt'> & { uncertainRound: string | null };

/** Items that wait, for another attempt too, or are uncertain. */
async function readWaitingItems(sql: TransactionSql, runId: string, run: Pick<RunRow, 'document'>): Promise<WaitingItemFacts[]> {
  const rows = await sql<WaitingItemRow[]>`
    select step, path, status, started_at as "startedAt", waiting_for as "waitingFor",
      (select r.path from kos.steps r where i.status = 'uncertain' and r.run_id = i.run_id and r.step = i.step and r.item = i.item and r.iteration is not null
        and r.undoes is null and r.status = 'uncertain' limit 1) as "uncertainRound"
    from kos.steps i where run_id = ${runId} and item is not null and iteration is null and undoes is null
      and ((status in ('waiting', 'retrying') and waiting_for is not null) or status = 'uncertain') order by started_at, item limit ${explainedItems}`;
  const approvals = await readOpenApprovals(sql, runId);
  return rows.map(({ step, path, status, startedAt, waitingFor, uncertainRound }) => ({
    step,
    path,
    status,
    startedAt: startedAt?.toISOString() ?? null,
    waitingFor,
    approval: approvals.get(path) ?? null,
    typed: isTyped(run, step),
    uncertainRound,
  }));
}

/** By step path; the newest, of a step that was tried again. */
async function readOpenApprovals(sql: TransactionSql, runId: string): Promise<Map<string, ApprovalFacts>> {
  const rows = await sql<(Pick<ApprovalFacts, 'from' | 'required' | 'fourEyes'> & OpenApprovalRow)[]>`
    select step_path as "stepPath", "from", required, four_eyes as "fourEyes", arguments_digest as "argumentsDigest", decisions,
      case when claimed_until > clock_timestamp() then claimed_by end as "claimedBy", claimed_until as "claimedUntil"
    from kos.approvals where run_id = ${runId} and status = 'open' order by created_at limit ${openApprovalsAtMost}`;
  return new Map(
    rows.map(({ stepPath, from, required, fourEyes, claimedBy, claimedUntil, ...standing }) => {
      const approvedBy = peopleWhoApproved({ required, ...standing }).size;
      return [stepPath, { from, required, fourEyes, approvedBy, claimedBy, claimedUntil: claimedUntil?.toISOString() ?? null }];
    }),
  );
}

const openApprovalsAtMost = 1_000;

interface OpenApprovalRow {
  stepPath: string;
  argumentsDigest: string;
  decisions: ApprovalDecision[];
  claimedBy: string | null;
  claimedUntil: Date | null;
}

async function readPendingStart(sql: TransactionSql, runId: string): Promise<RunFactsForExplain['pendingStart']> {
  const [row] = await sql<{ since: Date; lastError: string | null }[]>`
    select created_at as since, last_error as "lastError" from kos.outbox where run_id = ${runId} and kind = 'start' order by id limit 1`;
  return row === undefined ? null : { since: row.since.toISOString(), lastError: row.lastError };
}
