import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { describeDueTimes, dueTimes } from '#core/schedule/due-times.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import type { BackfillPreview, OverlapPolicy, ScheduleOrder } from '#schemas/schedule.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';
import { assertMayHandOn } from '#services/delegation/acting.ts';
import { lockSchedule, type ScheduleRow, seeSchedule } from './row.ts';

const backfillAtMost = 1_000;
const shownAtMost = 200;
/** How far a start now may be put off, by name alone, to have a second of its own. */
const searchedMs = 3_600_000;

/** From one instant to another, both included. */
export interface Range {
  from: string;
  to: string;
}

/** What a backfill would start. Throws KosError `schedule_not_found`, `backfill_range` (422). */
export async function previewBackfill({ sql }: Transaction, id: string, range: Range, nowMs: number): Promise<BackfillPreview> {
  const { definition } = await seeSchedule(sql, id);
  const times = timesOf(definition.spec, range, nowMs);
  const shown = times.slice(0, shownAtMost);
  const alreadyRun = await sql<{ nominalAt: Date }[]>`
    select distinct nominal_at as "nominalAt" from kos.schedule_starts
    where schedule_id = ${id} and run_id is not null and nominal_at in (select value::timestamptz from jsonb_array_elements_text(${sql.json(isoOf(times))})) order by 1`;
  return {
    total: times.length,
    times: shown.length === 0 ? [] : describeDueTimes(checkSpec(definition.spec), Date.parse(range.from) - 1, shown.length, shown.at(-1)),
    alreadyRun: alreadyRun.map(({ nominalAt }) => nominalAt.toISOString()),
  };
}

function timesOf(spec: ScheduleRow['definition']['spec'], { from, to }: Range, nowMs: number): number[] {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  if (toMs < fromMs) throw badRange('/to', `The range ends (${to}) before it begins (${from}).`, 'Name the earlier instant first.');
  if (toMs > nowMs) throw badRange('/to', `The range ends in the future (${to}).`, 'A backfill makes up for what has passed; what is to come comes by itself.');
  const times = dueTimes(checkSpec(spec), fromMs - 1, toMs, backfillAtMost + 1);
  if (times.length > backfillAtMost)
    throw badRange('/from', `More than ${backfillAtMost} starts were due in that range.`, 'Backfill a shorter range, then the next one.');
  return times;
}

const badRange = (pointer: string, message: string, fix: string): KosError =>
  new KosError({ code: 'backfill_range', message, fix, status: 422, details: [{ pointer, message }] });

const isoOf = (times: readonly number[]): string[] => times.map((time) => new Date(time).toISOString());

/** Starts for times that have passed, each a run of its own, whether or not there was one. Throws as the preview does, and KosError `backfill_empty` (422). */
export async function orderBackfill(
  { sql }: Transaction,
  principal: Principal,
  wanted: Range & { id: string; overlap: OverlapPolicy | undefined },
  nowMs: number,
): Promise<string> {
  const schedule = await lockSchedule(sql, wanted.id);
  const times = timesOf(schedule.definition.spec, wanted, nowMs);
  if (times.length === 0)
    throw new KosError({
      code: 'backfill_empty',
      message: 'Nothing was due in that range.',
      fix: 'See what was: kai schedule backfill NAME --dry-run',
      status: 422,
    });
  const overlap = wanted.overlap ?? 'bufferAll';
  return await writeOrder(sql, principal, schedule, { kind: 'backfill', overlap, from: new Date(wanted.from), to: new Date(wanted.to), times });
}

/** A start now. Without `overlap` the schedule's own policy holds: a run that is open may keep it from starting. Throws KosError `schedule_not_found`, `schedule_busy` (409),
 * `permission_missing` (403). */
export async function orderRunNow(
  { sql }: Transaction,
  principal: Principal,
  wanted: { id: string; overlap: OverlapPolicy | undefined },
  nowMs: number,
): Promise<string> {
  const schedule = await lockSchedule(sql, wanted.id);
  const at = await freeSecond(sql, schedule, nowMs);
  return await writeOrder(sql, principal, schedule, {
    kind: 'manual',
    overlap: wanted.overlap ?? schedule.definition.overlap,
    from: at,
    to: at,
    times: [at.getTime()],
  });
}

/** A start is known by its second: one that is nobody else's, by the clock, of an order, or of what stood in the spec before. The caller holds the schedule's row. */
async function freeSecond(sql: TransactionSql, { id, definition }: ScheduleRow, nowMs: number): Promise<Date> {
  const spec = checkSpec(definition.spec);
  const fromMs = Math.floor(nowMs / 1_000) * 1_000;
  const taken = await sql<{ at: Date }[]>`
    select distinct nominal_at as at from kos.schedule_starts where schedule_id = ${id} and nominal_at >= ${new Date(fromMs)} and nominal_at <= ${new Date(fromMs + searchedMs)}`;
  const busy = new Set([...taken.map(({ at }) => at.getTime()), ...dueTimes(spec, fromMs - 1, fromMs + searchedMs, searchedMs / 1_000)]);
  for (let atMs = fromMs; atMs <= fromMs + searchedMs; atMs += 1_000) if (!busy.has(atMs)) return new Date(atMs);
  throw new KosError({
    code: 'schedule_busy',
    message: 'Each second of the next hour is taken by a start of the schedule already.',
    fix: 'Start the plan without its schedule: kai run start PLAN',
    status: 409,
  });
}

async function writeOrder(
  sql: TransactionSql,
  principal: Principal,
  schedule: ScheduleRow,
  order: { kind: 'manual' | 'backfill'; overlap: OverlapPolicy; from: Date; to: Date; times: number[] },
): Promise<string> {
  assertMayHandOn(principal, 'schedule');
  const { workspaceId, principalId: actor, responsible } = principal;
  const { kind, overlap, from, to, times } = order;
  const orderId = newId('scheduleOrder');
  await sql`
    insert into kos.schedule_orders (id, workspace_id, schedule_id, kind, overlap, from_at, to_at, ordered_by, responsible)
    values (${orderId}, ${workspaceId}, ${schedule.id}, ${kind}, ${overlap}, ${from}, ${to}, ${actor}, ${responsible})`;
  await sql`
    insert into kos.schedule_starts (workspace_id, schedule_id, nominal_at, order_id, kind, status)
    select ${workspaceId}, ${schedule.id}, value::timestamptz, ${orderId}, ${kind}, 'ordered' from jsonb_array_elements_text(${sql.json(isoOf(times))})`;
  const data = { name: schedule.name, orderId, overlap, from: from.toISOString(), to: to.toISOString(), starts: times.length };
  await recordAudit(sql, [{ workspaceId, actor, action: kind === 'manual' ? 'schedule.run' : 'schedule.backfill', subject: schedule.id, data }]);
  return orderId;
}

/** Throws KosError `schedule_order_not_found`. */
export async function readOrder({ sql }: Transaction, orderId: string): Promise<ScheduleOrder> {
  const starts = await sql<{ kind: 'manual' | 'backfill'; nominalAt: Date }[]>`
    select kind, nominal_at as "nominalAt" from kos.schedule_starts where order_id = ${orderId} order by nominal_at`;
  const [first] = starts;
  if (first === undefined)
    throw new KosError({ code: 'schedule_order_not_found', message: `There is no order ${orderId} any more.`, fix: 'kai schedule starts NAME', status: 404 });
  return { id: orderId, kind: first.kind, starts: starts.length, nominalAt: starts.map(({ nominalAt }) => nominalAt.toISOString()) };
}
