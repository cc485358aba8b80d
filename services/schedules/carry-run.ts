import { dueTimes } from '#core/schedule/due-times.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Database, TransactionSql } from '#services/database/connect.ts';
import { waitsForRoom } from '#services/runs/admission.ts';
import { isHeldBack } from '#services/runs/held-starts.ts';
import { requestCancel } from '#services/runs/change.ts';
import { pauseSchedule } from './change.ts';
import type { ScheduleRow } from './row.ts';

/** Which run of which schedule. */
export interface ScheduledRunPlace {
  workspaceId: string;
  scheduleId: string;
  runId: string;
}

/** What the run's workflow is started with. */
export interface ReadyRun {
  rules: number;
  generation: number;
  shape: PlanShape;
  endsInMs: number | null;
  priority: number;
}

/** `waits`: for its turn. `started`: somebody else has done so, or it is over already. */
export type Readiness = { is: 'ready'; run: ReadyRun } | { is: 'waits' } | { is: 'started' };

interface RunRow extends ReadyRun {
  status: RunStatus;
  claimedBy: string | null;
  ordered: boolean;
  /** No new run of the workspace starts for now, or as many as may are at work. */
  held: boolean;
}

/** Whether the run may be started now: the order to start it is out from when it has its slot until it is started. */
export async function readReadiness(database: Database, { workspaceId, runId }: ScheduledRunPlace): Promise<Readiness> {
  return await database.inWorkspace(workspaceId, async ({ sql }) => {
    const [run] = await sql<RunRow[]>`
      select r.status, r.rules, r.generation, r.claimed_by as "claimedBy", r.priority, v.shape, (extract(epoch from r.deadline_at - clock_timestamp()) * 1000)::float8 as "endsInMs",
        exists (select from kos.outbox o where o.run_id = r.id and o.kind = 'start') as ordered,
        exists (select from kos.outbox o where o.run_id = r.id and (${isHeldBack(sql)} or ${waitsForRoom(sql)})) as held
      from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version where r.id = ${runId}`;
    if (run === undefined || isFinalRunStatus(run.status) || run.claimedBy !== null || run.generation !== 1) return { is: 'started' };
    const { rules, generation, shape, endsInMs, priority } = run;
    if (run.held) return { is: 'waits' };
    if (run.ordered) return { is: 'ready', run: { rules, generation, shape, endsInMs, priority } };
    const [inLine] = await sql`select 1 from kos.concurrency_slots where run_id = ${runId} and held_at is null`;
    return inLine === undefined ? { is: 'started' } : { is: 'waits' };
  });
}

/** Whether the run has ended, as its row has it, and what follows for its schedule from how it did: that is drawn once, whoever comes again. */
export async function concludeRun(database: Database, { workspaceId, scheduleId, runId }: ScheduledRunPlace): Promise<{ over: boolean }> {
  return await database.inWorkspace(workspaceId, async ({ sql }) => {
    const [run] = await sql<{ status: RunStatus }[]>`select status from kos.runs where id = ${runId}`;
    if (run !== undefined && !isFinalRunStatus(run.status)) return { over: false };
    if (run?.status === 'failed') await pauseAfterFailure(sql, { workspaceId, scheduleId, runId });
    return { over: true };
  });
}

/** The start's row keeps that it has been done: a schedule that a person resumed since is not paused again by a repeat. */
async function pauseAfterFailure(sql: TransactionSql, { workspaceId, scheduleId, runId }: ScheduledRunPlace): Promise<void> {
  const [schedule] = await sql<Pick<ScheduleRow, 'paused' | 'definition'>[]>`
    select paused, definition from kos.schedules where id = ${scheduleId} and deleted_at is null for update`;
  if (schedule === undefined || !schedule.definition.pauseOnFailure) return;
  const note = `Its run ${runId} failed.`;
  const noted = await sql`update kos.schedule_starts set reason = ${note} where schedule_id = ${scheduleId} and run_id = ${runId} and reason is null`;
  if (noted.count === 0 || schedule.paused) return;
  await pauseSchedule({ sql }, { workspaceId, actor: 'kos', id: scheduleId, note });
}

/** Temporal cancelled the workflow that carries the run. The decision is on record, and the run hears of it from there. */
export async function cancelRun(database: Database, { workspaceId, scheduleId, runId }: ScheduledRunPlace): Promise<void> {
  await database.inWorkspace(workspaceId, async ({ sql }) => {
    const [run] = await sql<{ status: RunStatus }[]>`select status from kos.runs where id = ${runId}`;
    if (run === undefined || isFinalRunStatus(run.status)) return;
    const reason = (await nextWasDue(sql, scheduleId, runId))
      ? `the next start of its schedule ${scheduleId} was due`
      : 'the workflow of its schedule was cancelled in Temporal';
    await requestCancel({ sql }, { workspaceId, actor: 'kos', runId, reason });
  });
}

/** Temporal does not tell a workflow who cancelled it: whether a start could have that cancels what is open. */
async function nextWasDue(sql: TransactionSql, scheduleId: string, runId: string): Promise<boolean> {
  const [start] = await sql<{ definition: ScheduleRow['definition']; nominalAt: Date; now: Date; ordered: boolean }[]>`
    select s.definition, t.nominal_at as "nominalAt", clock_timestamp() as now,
      exists (select from kos.schedule_orders o join kos.schedule_starts w on w.order_id = o.id where o.schedule_id = s.id and o.overlap = 'cancelOther' and w.status = 'ordered') as ordered
    from kos.schedules s join kos.schedule_starts t on t.schedule_id = s.id where s.id = ${scheduleId} and t.run_id = ${runId}`;
  if (start === undefined) return false;
  const { definition, nominalAt, now, ordered } = start;
  return ordered || (definition.overlap === 'cancelOther' && dueTimes(checkSpec(definition.spec), nominalAt.getTime(), now.getTime(), 1).length > 0);
}
