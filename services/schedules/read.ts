import { describeDueTimes } from '#core/schedule/due-times.ts';
import { readSpec } from '#core/schedule/reading.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import type { Schedule, SchedulePreview, ScheduleSpec, ScheduleStart } from '#schemas/schedule.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { scheduleColumns, scheduleNotFound, type ScheduleRow, seeSchedule } from './row.ts';

const shownNext = 10;
const shownLast = 5;
const missedDays = 7;

/** Throws KosError `schedule_invalid` (422). */
export function previewSpec(spec: ScheduleSpec, nowMs: number, count: number): SchedulePreview {
  const checked = checkSpec(spec);
  return { reading: readSpec(spec), next: describeDueTimes(checked, nowMs, count) };
}

/** By name. */
export async function listSchedules(
  { sql }: Transaction,
  query: { cursor: string | null; limit: number; plan: string | null; name: string | null },
  nowMs: number,
): Promise<Page<Schedule>> {
  const after = query.cursor === null ? null : (decodeCursor(query.cursor, ['string']) as [string])[0];
  const rows = await sql<ScheduleRow[]>`
    select ${scheduleColumns(sql)} from kos.schedules
    where deleted_at is null and ${after === null ? sql`true` : sql`name > ${after}`} and ${query.plan === null ? sql`true` : sql`plan_name = ${query.plan}`}
      and ${query.name === null ? sql`true` : sql`name = ${query.name}`}
    order by name limit ${query.limit + 1}`;
  const page = pageOf(
    rows,
    query.limit,
    (row) => row,
    (row) => [row.name],
  );
  const items: Schedule[] = [];
  for (const row of page.items) items.push(await show(sql, row, nowMs));
  return { ...page, items };
}

/** Throws KosError `schedule_not_found`. */
export async function readSchedule({ sql }: Transaction, id: string, nowMs: number): Promise<{ schedule: Schedule; version: number }> {
  const row = await seeSchedule(sql, id);
  return { schedule: await show(sql, row, nowMs), version: row.version };
}

async function show(sql: TransactionSql, row: ScheduleRow, nowMs: number): Promise<Schedule> {
  const { id, name, definition, paused, note, runsLeft, createdBy } = row;
  const [{ missed } = { missed: 0 }] = await sql<{ missed: number }[]>`
    select count(*)::int as missed from kos.schedule_starts
    where schedule_id = ${id} and status = 'missed' and nominal_at > clock_timestamp() - make_interval(days => ${missedDays})`;
  const count = paused ? 0 : Math.min(shownNext, runsLeft ?? shownNext);
  return {
    ...definition,
    id,
    name,
    labels: definition.labels ?? {},
    priority: definition.priority ?? null,
    paused,
    note,
    runsLeft,
    createdBy,
    grant: row.granted,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    reading: readSpec(definition.spec),
    next: count === 0 ? [] : describeDueTimes(checkSpec(definition.spec), nowMs, count),
    last: await lastStarts(sql, id, shownLast),
    missed,
    pendingSync:
      row.syncedVersion >= row.version ? null : `Temporal is still to be told of the last change${row.syncError === null ? '.' : `: ${row.syncError}`}`,
  };
}

interface StartRow extends Omit<ScheduleStart, 'nominalAt' | 'at'> {
  nominalAt: Date;
  orderId: string;
  at: Date;
}

const showStart = ({ nominalAt, at, orderId: _orderId, ...rest }: StartRow): ScheduleStart => ({
  ...rest,
  nominalAt: nominalAt.toISOString(),
  at: at.toISOString(),
});

async function startRows(sql: TransactionSql, scheduleId: string, before: readonly [string, string] | null, limit: number): Promise<StartRow[]> {
  return await sql<StartRow[]>`
    select s.nominal_at as "nominalAt", s.order_id as "orderId", s.kind, s.status, s.reason, s.run_id as "runId", r.status as "runStatus", s.at
    from kos.schedule_starts s left join kos.runs r on r.id = s.run_id
    where s.schedule_id = ${scheduleId} and ${before === null ? sql`true` : sql`(s.nominal_at, s.order_id) < (${before[0]}::timestamptz, ${before[1]})`}
    order by s.nominal_at desc, s.order_id desc limit ${limit}`;
}

const lastStarts = async (sql: TransactionSql, scheduleId: string, limit: number): Promise<ScheduleStart[]> =>
  (await startRows(sql, scheduleId, null, limit)).map(showStart);

/** Starts by the time for which they were due, newest first. Throws KosError `schedule_not_found`. */
export async function listStarts({ sql }: Transaction, id: string, page: { cursor: string | null; limit: number }): Promise<Page<ScheduleStart>> {
  const [known] = await sql`select 1 from kos.schedules where id = ${id} and deleted_at is null`;
  if (known === undefined) throw scheduleNotFound(id);
  const before = page.cursor === null ? null : (decodeCursor(page.cursor, ['string', 'string']) as [string, string]);
  return pageOf(await startRows(sql, id, before, page.limit + 1), page.limit, showStart, (row) => [row.nominalAt.toISOString(), row.orderId]);
}
