import type { Json } from '#schemas/json.ts';
import type { OutcomeError, Origin, RunStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';

/** What a run hands on to those that its steps start. */
export interface CallingRun {
  startedBy: string;
  responsible: string;
  origin: Origin;
  rootRunId: string | null;
  calledFrom: string | null;
  depth: number;
  planPins: Record<string, number> | null;
  deadlineAt: Date | null;
  useCache: boolean;
  priority: number;
}

/** Its row is held: whoever changes or pauses it finds those that are started meanwhile. */
export async function readCallingRun(sql: TransactionSql, runId: string): Promise<CallingRun> {
  const [row] = await sql<CallingRun[]>`
    select started_by as "startedBy", responsible, origin, root_run_id as "rootRunId", called_from as "calledFrom", depth, plan_pins as "planPins", deadline_at as "deadlineAt",
      use_cache as "useCache", priority
    from kos.runs where id = ${runId} for no key update`;
  if (row === undefined) throw new Error(`The run ${runId} is gone.`);
  return row;
}

export interface SubRun {
  id: string;
  planName: string;
  planVersion: number;
  status: RunStatus;
  output: Json;
  error: OutcomeError | null;
  costMicros: number;
  /** Of that, what the step that waits has paid for already: it has gone on with this run after a retry. */
  paidMicros: number;
}

/** The run whose end a wait stands for, which does not end (again) before this transaction does; null: it was deleted. */
export async function readSubRun(sql: TransactionSql, waitId: string): Promise<SubRun | null> {
  const [row] = await sql<SubRun[]>`
    select r.id, r.plan_name as "planName", r.plan_version as "planVersion", r.status, r.output, r.error, r.cost_micros as "costMicros",
      coalesce((s.metadata->>'paidMicros')::float8, 0) as "paidMicros"
    from kos.waits w join kos.runs r on r.id = w.child_run_id left join kos.steps s on s.run_id = w.run_id and s.path = w.step_path and s.metadata->>'runId' = r.id
    where w.id = ${waitId} for no key update of r`;
  return row ?? null;
}

/** A wait for a run that has ended already is over at once. */
export async function settleWithEnded(sql: TransactionSql, waitId: string): Promise<boolean> {
  const settled = await sql`
    update kos.waits w set status = 'settled', version = version + 1, closed_at = clock_timestamp() from kos.runs r
    where w.id = ${waitId} and r.id = w.child_run_id and r.status not in ('queued', 'running', 'waiting', 'paused') returning w.id`;
  return settled.length > 0;
}

/** Costs of a sub-run that is to be followed by another: they stay with the step that started it. */
export async function addCosts(sql: TransactionSql, place: { runId: string; path: string }, costMicros: number): Promise<void> {
  if (costMicros === 0) return;
  await sql`update kos.steps set cost_micros = cost_micros + ${costMicros} where run_id = ${place.runId} and path = ${place.path}`;
  await sql`update kos.runs set cost_micros = cost_micros + ${costMicros} where id = ${place.runId}`;
}

/**
 * A run has ended, in this transaction: the step that waits for it is to go on. Nothing happens where none waits any more, unless its caller waits for that
 * with undoing what it did.
 */
export async function tellCaller(sql: TransactionSql, run: { workspaceId: string; runId: string }): Promise<void> {
  await sql`
    insert into kos.outbox (workspace_id, run_id, kind, payload)
    select ${run.workspaceId}, caller.id, 'control', '{}'::jsonb from kos.runs ended join kos.runs caller on caller.id = ended.parent_run_id
    where ended.id = ${run.runId} and caller.ending is not null and caller.status in ('queued', 'running', 'waiting', 'paused')`;
  await sql`
    with told as (
      update kos.waits set status = 'settled', version = version + 1, closed_at = clock_timestamp()
      where child_run_id = ${run.runId} and status = 'open' returning id, run_id, version
    )
    insert into kos.outbox (workspace_id, run_id, kind, payload)
    select ${run.workspaceId}, run_id, 'decision', jsonb_build_object('waitId', id, 'version', version) from told`;
}

/** A run (or, with `step`, one step of it) ends otherwise than by success, in this transaction: those that its steps started are asked to end, too. Before its waits are closed, in the order of their own end. */
export async function cancelSubRuns(sql: TransactionSql, run: { workspaceId: string; runId: string; step?: number }): Promise<void> {
  const { step } = run;
  const reason = step === undefined ? `the run that started it, ${run.runId}, has ended` : `the step of ${run.runId} that started it has failed`;
  const ofStep =
    step === undefined
      ? sql``
      : sql`and id in (select w.child_run_id from kos.waits w join kos.steps s on s.run_id = w.run_id and s.path = w.step_path where w.run_id = ${run.runId} and s.step = ${step})`;
  await sql`
    with asked as (
      update kos.runs set cancel_requested_at = clock_timestamp(), cancel_requested_by = 'kos', cancel_reason = ${reason},
        undo_on_cancel = (select undo_on_cancel from kos.runs caller where caller.id = ${run.runId}),
        -- One that is paused goes on to its end.
        status = case when status <> 'paused' then status when claimed_by is null then 'queued' else 'running' end,
        waiting_for = case when status = 'paused' then null else waiting_for end, control_version = control_version + case when status = 'paused' then 1 else 0 end,
        paused_at = null, paused_by = null, pause_reason = null
      where parent_run_id = ${run.runId} and status in ('queued', 'running', 'waiting', 'paused') and cancel_requested_at is null ${ofStep} returning id
    )
    insert into kos.outbox (workspace_id, run_id, kind, payload)
    select ${run.workspaceId}, id, 'cancel', jsonb_build_object('requestedBy', 'kos', 'reason', ${reason}::text) from asked`;
}

/**
 * Locks those that still run until the transaction's end: one that ends later finds what this transaction has written of the run above it, and one that ends
 * earlier is waited for here.
 */
export async function lockOpenSubRuns(sql: TransactionSql, runId: string): Promise<void> {
  await sql`select from kos.runs where parent_run_id = ${runId} and status in ('queued', 'running', 'waiting', 'paused') order by id for update`;
}

/** The newest that has not ended. */
export async function openSubRun(sql: TransactionSql, runId: string): Promise<{ id: string; calledFrom: string | null } | null> {
  const [row] = await sql<{ id: string; calledFrom: string | null }[]>`
    select id, called_from as "calledFrom" from kos.runs where parent_run_id = ${runId} and status in ('queued', 'running', 'waiting', 'paused')
    order by created_at desc, id desc limit 1`;
  return row ?? null;
}
