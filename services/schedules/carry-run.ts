import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Database, TransactionSql } from '#services/database/connect.ts';
import { isHeldBack } from '#services/runs/held-starts.ts';
import { requestCancel } from '#services/runs/change.ts';
import { pauseSchedule } from './change.ts';
import { scheduleColumns, type ScheduleRow } from './row.ts';

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
  /** No new run of the workspace starts for now. */
  held: boolean;
}

/** Whether the run may be started now: the order to start it is out from when it has its slot until it is started. */
export async function readReadiness(database: Database, { workspaceId, runId }: ScheduledRunPlace): Promise<Readiness> {
  return await database.inWorkspace(workspaceId, async ({ sql }) => {
    const [run] = await sql<RunRow[]>`
      select r.status, r.rules, r.generation, r.claimed_by as "claimedBy", r.priority, v.shape, (extract(epoch from r.deadline_at - clock_timestamp()) * 1000)::float8 as "endsInMs",
        exists (select from kos.outbox o where o.run_id = r.id and o.kind = 'start') as ordered,
        exists (select from kos.outbox o where o.run_id = r.id and ${isHeldBack(sql)}) as held
      from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version where r.id = ${runId}`;
    if (run === undefined || isFinalRunStatus(run.status) || run.claimedBy !== null || run.generation !== 1) return { is: 'started' };
    const { rules, generation, shape, endsInMs, priority } = run;
    if (run.held) return { is: 'waits' };
    if (run.ordered) return { is: 'ready', run: { rules, generation, shape, endsInMs, priority } };
    const [inLine] = await sql`select 1 from kos.concurrency_slots where run_id = ${runId} and held_at is null`;
    return inLine === undefined ? { is: 'started' } : { is: 'waits' };
  });
}

/** The end of the run, as its row has it; null: it goes on. */
export async function readRunEnd(database: Database, { workspaceId, runId }: ScheduledRunPlace): Promise<{ status: RunStatus | 'gone' } | null> {
  return await database.inWorkspace(workspaceId, async ({ sql }) => {
    const [run] = await sql<{ status: RunStatus }[]>`select status from kos.runs where id = ${runId}`;
    if (run === undefined) return { status: 'gone' };
    return isFinalRunStatus(run.status) ? { status: run.status } : null;
  });
}

/** What follows for its schedule from how a run ended. */
export async function concludeRun(database: Database, place: ScheduledRunPlace, status: RunStatus | 'gone'): Promise<void> {
  if (status !== 'failed') return;
  const { workspaceId, scheduleId, runId } = place;
  await database.inWorkspace(workspaceId, async ({ sql }) => {
    const schedule = await readRow(sql, scheduleId);
    if (schedule === null || schedule.paused || !schedule.definition.pauseOnFailure) return;
    await pauseSchedule({ sql }, { workspaceId, actor: 'kos', id: scheduleId, note: `Its run ${runId} failed.` });
  });
}

async function readRow(sql: TransactionSql, scheduleId: string): Promise<ScheduleRow | null> {
  const [row] = await sql<ScheduleRow[]>`select ${scheduleColumns(sql)} from kos.schedules where id = ${scheduleId} and deleted_at is null for update`;
  return row ?? null;
}

/** Temporal cancelled the workflow that carries the run: because the next one is due, or by somebody's hand there. The decision is on record before the run hears of it. */
export async function cancelRun(database: Database, { workspaceId, scheduleId, runId }: ScheduledRunPlace): Promise<void> {
  await database.inWorkspace(workspaceId, async ({ sql }) => {
    const [run] = await sql<{ status: RunStatus }[]>`select status from kos.runs where id = ${runId}`;
    if (run === undefined || isFinalRunStatus(run.status)) return;
    await requestCancel({ sql }, { workspaceId, actor: 'kos', runId, reason: `the next start of its schedule ${scheduleId} was due` });
  });
}
