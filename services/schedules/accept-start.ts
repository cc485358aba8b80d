import { KosError } from '#core/errors.ts';
import { decideStart } from '#core/schedule/decide-start.ts';
import type { OverlapPolicy } from '#schemas/schedule.ts';
import { actingGrant } from '#services/delegation/acting.ts';
import { lostRightOf } from '#services/delegation/present-rights.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordEvents } from '#services/records/record.ts';
import { type AcceptDependencies, acceptRun } from '#services/runs/accept.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { pauseSchedule } from './change.ts';
import { scheduleColumns, type ScheduleRow } from './row.ts';

/** A start that Temporal makes: of which schedule, for which time, in which workflow. */
export interface DueStart {
  workspaceId: string;
  scheduleId: string;
  nominalAt: string;
  /** Workflow id and run id of the execution. */
  workflowId: string;
  execution: string;
}

/** `runId` null: it comes to nothing, and why stands in its row. */
export interface TakenStart {
  runId: string | null;
}

/** What a start is taken as: by the clock, or of an order that waits for this time. */
interface Place {
  orderId: string;
  kind: 'regular' | 'manual' | 'backfill';
  orderedBy: string | null;
  responsible: string | null;
}

interface StartRow extends Place {
  runId: string | null;
  wrapper: string | null;
}

class Settled extends Error {
  readonly taken: TakenStart;

  constructor(taken: TakenStart) {
    super('The start was settled.');
    this.taken = taken;
  }
}

/**
 * Accepts the run of a start, once for its schedule and time (and order): the run's row, the start's row and all that follows stand in one transaction. Taken again, by a
 * repeat of the activity or a second execution, it gives the same run.
 */
export async function acceptStart(dependencies: AcceptDependencies, due: DueStart): Promise<TakenStart> {
  const { workspaceId, scheduleId } = due;
  const planned = await dependencies.database.inWorkspace(workspaceId, ({ sql }) => settle(sql, due));
  if ('taken' in planned) return planned.taken;
  const { schedule, place } = planned;
  const { plan, input, labels, priority } = schedule.definition;
  try {
    const { runId } = await acceptRun(dependencies, {
      workspaceId,
      actor: place.orderedBy ?? schedule.createdBy,
      responsible: place.responsible ?? schedule.createdBy,
      origin: { kind: 'schedule', id: scheduleId },
      request: { plan, input, ...(labels === undefined ? {} : { labels }), ...(priority === undefined ? {} : { priority }) },
      wrapper: due.workflowId,
      alsoInTransaction: async ({ sql }, id) => {
        const now = await settle(sql, due);
        if ('taken' in now) throw new Settled(now.taken);
        await writeStart(sql, due, now.place, { status: 'accepted', runId: id, reason: null });
        if (now.place.kind === 'regular') await sql`update kos.schedules set runs_left = runs_left - 1 where id = ${scheduleId} and runs_left is not null`;
        for (const open of now.end)
          await terminateRun({ sql, commit: () => undefined }, { workspaceId, actor: 'kos', runId: open, reason: `superseded by ${id}` });
      },
    });
    return { runId };
  } catch (error) {
    if (error instanceof Settled) return error.taken;
    if (!(error instanceof KosError) || error.status >= 500) throw error;
    return await refuse(dependencies, due, error);
  }
}

type Planned = { taken: TakenStart } | { schedule: ScheduleRow; place: Place; end: readonly string[] };

/** One start of a schedule at a time. What needs no run is written here. */
async function settle(sql: TransactionSql, due: DueStart): Promise<Planned> {
  const [schedule] = await sql<ScheduleRow[]>`select ${scheduleColumns(sql)} from kos.schedules where id = ${due.scheduleId} for update`;
  if (schedule === undefined) return { taken: { runId: null } };
  const place = await findPlace(sql, due);
  if ('taken' in place) return place;
  const overlap: OverlapPolicy = schedule.definition.overlap;
  const decision = decideStart({
    kind: place.kind,
    paused: schedule.paused,
    deleted: schedule.deleted,
    runsLeft: schedule.runsLeft,
    overlap,
    openRuns: place.kind === 'regular' ? await openRuns(sql, due.scheduleId) : [],
    lostRight: await lostRightOf(sql, place.orderedBy === null ? schedule : { createdBy: place.orderedBy, granted: actingGrant }, 'runs:start'),
  });
  switch (decision.do) {
    case 'accept':
      return { schedule, place, end: decision.end };
    case 'skip':
      await writeStart(sql, due, place, { status: 'skipped', runId: null, reason: decision.reason });
      return { taken: { runId: null } };
    case 'refuse':
      await writeRefusal(sql, due, { schedule, place }, { code: 'permission_missing', message: decision.reason });
      return { taken: { runId: null } };
    case 'pause':
      await writeStart(sql, due, place, { status: 'refused', runId: null, reason: decision.reason });
      if (!schedule.paused) await pauseSchedule({ sql }, { workspaceId: due.workspaceId, actor: 'kos', id: due.scheduleId, note: decision.reason });
      return { taken: { runId: null } };
  }
}

/**
 * Temporal starts one execution for each time by the clock, and one for each time of an order. An order's times are there before Temporal is told of it, so an
 * execution that finds one open is that order's; of a time that was taken by orders alone, another execution is one of theirs told twice.
 */
async function findPlace(sql: TransactionSql, due: DueStart): Promise<Place | { taken: TakenStart }> {
  const starts = await sql<StartRow[]>`
    select s.order_id as "orderId", s.kind, s.run_id as "runId", s.wrapper, o.ordered_by as "orderedBy", o.responsible
    from kos.schedule_starts s left join kos.schedule_orders o on o.id = s.order_id
    where s.schedule_id = ${due.scheduleId} and s.nominal_at = ${due.nominalAt}::timestamptz order by (s.status = 'ordered') desc, s.order_id`;
  const own = starts.find(({ wrapper }) => wrapper === due.execution);
  if (own !== undefined) return { taken: { runId: own.runId } };
  // What is ordered comes first; one that was given up already may come all the same, late.
  const open = starts.find(({ wrapper }) => wrapper === null);
  if (open !== undefined) return open;
  const [taken] = starts;
  if (taken !== undefined) return { taken: { runId: taken.runId } };
  return { orderId: '', kind: 'regular', orderedBy: null, responsible: null };
}

const openRuns = async (sql: TransactionSql, scheduleId: string): Promise<string[]> => {
  const rows = await sql<{ id: string }[]>`
    select r.id from kos.runs r join kos.schedule_starts s on s.run_id = r.id
    where s.schedule_id = ${scheduleId} and r.status in ('queued', 'running', 'waiting', 'paused') order by r.created_at`;
  return rows.map(({ id }) => id);
};

async function writeStart(
  sql: TransactionSql,
  due: DueStart,
  { orderId, kind }: Place,
  outcome: { status: 'accepted' | 'skipped' | 'refused'; runId: string | null; reason: string | null },
): Promise<void> {
  const { status, runId, reason } = outcome;
  await sql`
    insert into kos.schedule_starts (workspace_id, schedule_id, nominal_at, order_id, kind, status, reason, run_id, wrapper, at)
    values (${due.workspaceId}, ${due.scheduleId}, ${due.nominalAt}::timestamptz, ${orderId}, ${kind}, ${status}, ${reason}, ${runId}, ${due.execution}, clock_timestamp())
    on conflict (schedule_id, nominal_at, order_id) do update
      set status = excluded.status, reason = excluded.reason, run_id = excluded.run_id, wrapper = excluded.wrapper, at = excluded.at`;
}

/** The plan is gone, its input does not fit any more, its runs are too many: this start is over, and people are told. */
async function refuse({ database }: AcceptDependencies, due: DueStart, error: KosError): Promise<TakenStart> {
  return await database.inWorkspace(due.workspaceId, async ({ sql }) => {
    const now = await settle(sql, due);
    if ('taken' in now) return now.taken;
    await writeRefusal(sql, due, now, error);
    return { runId: null };
  });
}

async function writeRefusal(
  sql: TransactionSql,
  due: DueStart,
  { schedule, place }: { schedule: ScheduleRow; place: Place },
  { code, message }: Pick<KosError, 'code' | 'message'>,
): Promise<void> {
  await writeStart(sql, due, place, { status: 'refused', runId: null, reason: message });
  const data = { scheduleId: due.scheduleId, name: schedule.name, nominalAt: [due.nominalAt], code, reason: message };
  await recordEvents(sql, [{ workspaceId: due.workspaceId, runId: null, type: 'schedule.missed', data }]);
}
