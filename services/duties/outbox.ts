import type { Logger } from 'pino';
import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { concurrencyRuleSchema } from '#schemas/plan.ts';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { admitWaiting, takeSlot } from '#services/runs/concurrency.ts';
import { beyondBound, forgetWaiting, tellBeyondBound, type UsualBound } from '#services/runs/admission.ts';
import type { AcceptDependencies } from '#services/runs/accept.ts';
import { handleFailure } from '#services/runs/on-failure.ts';
import { isHeldBack, tellHeldRuns } from '#services/runs/held-starts.ts';
import { beginsNow } from '#services/runs/start-times.ts';
import { cancelledBefore, closeOverdue, closeUnstarted, withdrawStart } from '#services/runs/unstarted.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeRunWorkflowId } from '#workflows/ids.ts';
import { type Duty, repeat } from './repeat.ts';

export interface OutboxOptions {
  system: SystemDatabase;
  workflows: RunWorkflows;
  /** Bytes free where kOS keeps its data: below 1 GB new runs wait. */
  freeBytes(): Promise<number>;
  /** What a workspace may have at work at once where it has set nothing. */
  usualBound(): UsualBound;
  log: Logger;
  /** What runs are accepted with that a failure starts. */
  accepting: AcceptDependencies;
}

interface OutboxRow {
  id: number;
  workspaceId: string;
  runId: string;
  kind: 'start' | 'decision' | 'cancel' | 'control' | 'terminate' | 'onFailure';
  payload: JsonObject;
  attempts: number;
}

interface StartRow {
  status: RunStatus;
  waits: boolean;
  rules: number;
  generation: number;
  claimedBy: string | null;
  priority: number;
  planName: string;
  startedBy: string;
  concurrencyKey: string | null;
  /** Of the plan; null: it does not bound its runs. */
  concurrency: Json;
  endsInMs: number | null;
  shape: PlanShape | null;
}

export const freeBytesAtLeast = 1_000_000_000;

/**
 * Two processes may send: a row that one has taken is left to it for this long. Short, for one that dies with it leaves the row waiting; sent twice, a
 * row does what it does once (a second start finds the first, Signals are reminders).
 */
const leaseSeconds = 2;
/** Temporal is mostly away for a moment: what waits for it goes on this much later than it does. */
const longestRetrySeconds = 3;
const batch = 50;
const idlePauseMs = 250;
const lowDiskPauseSeconds = 5;

const decisionSchema = z.object({ waitId: z.string(), version: z.int() });

type Sent = { done: true } | { done: false; afterSeconds: number; because: string };

/** Tells Temporal what was decided in Postgres, until it is taken. A nudge makes it look at once. */
export function startOutbox(options: OutboxOptions): Duty {
  return repeat('outbox', options.log, async () => {
    await admitWaiting(options.system);
    await tellHeldRuns(options.system);
    const usual = options.usualBound();
    const rows = await takeDue(options.system, usual);
    await tellBeyondBound(options.system, usual);
    await Promise.all(rows.map((row) => sendRow(options, row)));
    return rows.length === batch ? 0 : idlePauseMs;
  });
}

async function takeDue({ sql }: SystemDatabase, usual: UsualBound): Promise<OutboxRow[]> {
  return await sql<OutboxRow[]>`
    update kos.outbox set next_attempt_at = clock_timestamp() + make_interval(secs => ${leaseSeconds}), attempts = attempts + 1
    where id in (
      select o.id from kos.outbox o where o.next_attempt_at <= clock_timestamp() and not ${isHeldBack(sql)} and o.id not in ${beyondBound(sql, usual)}
      order by o.id limit ${batch} for update of o skip locked)
    returning id, workspace_id as "workspaceId", run_id as "runId", kind, payload, attempts`;
}

async function sendRow(options: OutboxOptions, row: OutboxRow): Promise<void> {
  const { sql } = options.system;
  const sent = await send(options, row).catch((error: unknown): Sent => {
    const because = error instanceof Error ? error.message : String(error);
    return { done: false, afterSeconds: Math.min(longestRetrySeconds, 0.2 * 2 ** Math.min(row.attempts, 10)), because };
  });
  if (sent.done) await sql`delete from kos.outbox where id = ${row.id}`;
  else
    await sql`update kos.outbox set next_attempt_at = clock_timestamp() + make_interval(secs => ${sent.afterSeconds}), last_error = ${sent.because} where id = ${row.id}`;
}

async function send(options: OutboxOptions, row: OutboxRow): Promise<Sent> {
  switch (row.kind) {
    case 'start':
      return await sendStart(options, row);
    case 'decision': {
      // A run that is gone from Temporal is resumed from Postgres, and finds the decision there.
      const decision = decisionSchema.parse(row.payload);
      await options.workflows.signalDecision(await toldOf(options.system, row.runId, decision.waitId), decision);
      return { done: true };
    }
    case 'cancel':
      return await sendCancel(options, row);
    case 'control':
      return await sendControl(options, row);
    case 'terminate':
      return await sendTerminate(options, row);
    case 'onFailure':
      await handleFailure(options.accepting, row);
      return { done: true };
  }
}

/** A run that is not in Temporal yet, or no longer, looks at its row before it does anything; one whose start is under way may have been read before what is to be told. */
async function sendControl({ system, workflows }: OutboxOptions, row: OutboxRow): Promise<Sent> {
  if ((await workflows.signalControl(row.runId)) === 'taken') return { done: true };
  const [starting] = await system.sql`select from kos.outbox where run_id = ${row.runId} and kind = 'start' and attempts > 0 limit 1`;
  return starting === undefined ? { done: true } : { done: false, afterSeconds: 1, because: 'The run is about to be started in Temporal.' };
}

/** Ends the execution that worked for the generation that was terminated, and no later one: the run may have been retried since. */
async function sendTerminate({ system, workflows }: OutboxOptions, row: OutboxRow): Promise<Sent> {
  const reason = typeof row.payload.reason === 'string' ? row.payload.reason : 'terminated';
  if (typeof row.payload.chain === 'string') {
    await workflows.terminate(row.runId, reason, row.payload.chain);
    return { done: true };
  }
  // In this order: an execution that is found before the row still names that generation belongs to it.
  const execution = await workflows.describe(row.runId);
  const [run] = await system.sql<{ generation: number }[]>`select generation from kos.runs where id = ${row.runId}`;
  if (execution?.status === 'running' && run?.generation === row.payload.generation) await workflows.terminate(row.runId, reason, execution.chain);
  return { done: true };
}

/** Who waits: the run itself, or the window of it that has the item. */
async function toldOf({ sql }: SystemDatabase, runId: string, waitId: string): Promise<string> {
  const [wait] = await sql<{ toldTo: string | null }[]>`select told_to as "toldTo" from kos.waits where id = ${waitId}`;
  return wait?.toldTo ?? makeRunWorkflowId(runId);
}

async function sendStart(options: OutboxOptions, row: OutboxRow): Promise<Sent> {
  const { sql } = options.system;
  // Put off until now: its own time begins.
  if (row.payload.later === true) await sql`update kos.runs set ${beginsNow(sql)} where id = ${row.runId} and status = 'queued' and timeout_ms is not null`;
  const [run] = await sql<StartRow[]>`
    select r.status, r.waiting_for is not null as waits, r.rules, r.generation, r.claimed_by as "claimedBy", r.priority, r.plan_name as "planName", r.started_by as "startedBy",
      r.concurrency_key as "concurrencyKey", v.document->'concurrency' as concurrency, (extract(epoch from r.deadline_at - clock_timestamp()) * 1000)::float8 as "endsInMs", v.shape
    from kos.runs r left join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version
    where r.id = ${row.runId}`;
  if (run === undefined || isFinalRunStatus(run.status)) return { done: true };
  const resume = row.payload.resume === true;
  if (!resume && (await options.freeBytes()) < freeBytesAtLeast) return await holdForDisk(sql, row, run.endsInMs);
  if (run.waits) await forgetWaiting(sql, row.runId);
  if (run.concurrencyKey !== null && !(await findsSlot(options.system, row, run))) return { done: true };
  if (typeof row.payload.wrapper === 'string') {
    const standing = await standingWith(options.workflows, row, row.payload.wrapper);
    if (standing !== null) return standing;
  }
  const { rules, generation, endsInMs } = run;
  const input = {
    runId: row.runId,
    workspaceId: row.workspaceId,
    rules,
    generation,
    shape: resume || row.payload.carried === true ? null : run.shape,
    endsInMs,
    windows: [],
  };
  const started = await options.workflows.start(input, { resume, priority: run.priority });
  return started === 'already' && resume ? await awaitEarlier(options, row, run.claimedBy) : { done: true };
}

/** The workflow of a schedule starts its run itself, so that Temporal measures the one by the other. Null: it is gone without having done so, and we start it. */
async function standingWith(workflows: RunWorkflows, { runId, attempts }: OutboxRow, wrapper: string): Promise<Sent | null> {
  // In this order: a wrapper that is gone may have started the run just before.
  const isOpen = (await workflows.describe(wrapper))?.status === 'running';
  if ((await workflows.describe(runId)) !== null) return { done: true };
  // One that waits for its turn looks rarely. Temporal keeps the Signal; ever fewer repeats, for no worker may be there for long.
  if (isOpen && Number.isInteger(Math.log2(attempts))) await workflows.signalTurn(wrapper);
  return isOpen ? { done: false, afterSeconds: 1, because: 'The workflow of its schedule is about to start it.' } : null;
}

/** A run that is retried as soon as it has ended may still have its earlier execution on its last task: it is started when that is gone. */
async function awaitEarlier({ workflows }: OutboxOptions, row: OutboxRow, claimedBy: string | null): Promise<Sent> {
  const execution = await workflows.describe(row.runId);
  const { after } = row.payload;
  // Without the earlier one's name, the one that runs is known for ours once it has claimed the run.
  const ours = execution?.status === 'running' && (typeof after === 'string' ? execution.chain !== after : execution.chain === claimedBy);
  return ours ? { done: true } : { done: false, afterSeconds: 0.1, because: 'An earlier execution of the run is about to end in Temporal.' };
}

/** Mostly it holds one since it was accepted. One that was put off, or is retried, takes one now, or gets in line: this order then waits there. */
async function findsSlot({ sql }: SystemDatabase, row: OutboxRow, run: StartRow): Promise<boolean> {
  const { runId, workspaceId } = row;
  const { later: _, ...order } = row.payload;
  const request = {
    workspaceId,
    runId,
    planName: run.planName,
    key: run.concurrencyKey ?? '',
    actor: run.startedBy,
    rule: concurrencyRuleSchema.parse(run.concurrency),
    order,
  };
  try {
    return (await sql.begin((transaction) => takeSlot(transaction, request))) === 'held';
  } catch (error) {
    if (!(error instanceof KosError) || error.code !== 'concurrency_limit') throw error;
    const { code, message, fix } = error;
    await sql.begin((transaction) =>
      closeUnstarted(transaction, workspaceId, runId, { status: 'failed', output: null, error: { code, message, fix, stepPath: null } }),
    );
    return false;
  }
}

async function holdForDisk(sql: SystemDatabase['sql'], { workspaceId, runId }: OutboxRow, endsInMs: number | null): Promise<Sent> {
  const text = 'Less than 1 GB is free on the disk of KOS_HOME: new runs wait until there is more.';
  await sql`update kos.runs set waiting_for = ${sql.json({ kind: 'engine', ref: 'disk', until: null, text })} where id = ${runId} and status = 'queued'`;
  if (endsInMs !== null && endsInMs <= 0) {
    await sql.begin((transaction) => closeOverdue(transaction, workspaceId, runId));
    return { done: true };
  }
  return { done: false, afterSeconds: lowDiskPauseSeconds, because: text };
}

/** One that waits for its time or its turn is over at once: nobody will start it to hear of its cancel. */
const cancelUnstarted = ({ sql }: SystemDatabase, { runId, workspaceId }: OutboxRow): Promise<boolean> =>
  sql.begin(async (transaction) => {
    const [run] = await transaction<UnstartedRun[]>`
      select r.status, r.claimed_by as "claimedBy", coalesce(p.name, r.cancel_requested_by) as "cancelRequestedBy", r.cancel_reason as "cancelReason"
      from kos.runs r left join kos.principals p on p.id = r.cancel_requested_by where r.id = ${runId} for update of r`;
    if (run === undefined || !(await withdrawStart(transaction, run, runId))) return false;
    await closeUnstarted(transaction, workspaceId, runId, cancelledBefore(run.cancelRequestedBy ?? 'kos', run.cancelReason));
    return true;
  });

interface UnstartedRun {
  status: RunStatus;
  claimedBy: string | null;
  cancelRequestedBy: string | null;
  cancelReason: string | null;
}

/** A run that has not been started yet takes its cancel when it has. */
async function sendCancel({ system, workflows }: OutboxOptions, row: OutboxRow): Promise<Sent> {
  if ((await workflows.signalCancel(row.runId)) === 'taken') return { done: true };
  const [run] = await system.sql<{ status: RunStatus }[]>`select status from kos.runs where id = ${row.runId}`;
  if (run === undefined || isFinalRunStatus(run.status)) return { done: true };
  if (await cancelUnstarted(system, row)) return { done: true };
  return { done: false, afterSeconds: 1, because: 'The run is not in Temporal yet.' };
}
