import { lostRight } from '#core/policy/delegated.ts';
import type { InstallationRole } from '#core/policy/permissions.ts';
import { dueTimes } from '#core/schedule/due-times.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import { judgeAbsent } from '#core/schedule/judge-absent.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { recordEvents } from '#services/records/record.ts';
import type { ScheduleCounts } from '#services/temporal/schedule-door.ts';
import { pauseSchedule } from './change.ts';
import type { ScheduleRow } from './row.ts';
import type { SyncOptions } from './sync.ts';

/** A start is on its way this long after it was due, jitter apart. */
const graceMs = 30_000;
/** And one that nobody can account for is given up after this. */
const suspectMs = 120_000;
const timesAtOnce = 500;

type WatchedRow = Pick<ScheduleRow, 'id' | 'workspaceId' | 'name' | 'definition' | 'createdBy' | 'granted'> & {
  watchedAt: Date;
  suspectMs: number | null;
  countedMissed: number;
  countedSkipped: number;
  nowMs: number;
  roles: string[] | null;
  installationRole: InstallationRole | null;
  /** Its creator, as people call them. */
  person: string;
  ordersOpen: boolean;
};

const schedulesAtOnce = 200;

/**
 * Schedules whose creator may act no longer are paused; starts that were due and did not come are told of; what Temporal has lost is made again. Goes through all of
 * them in pages, as long as nobody else does so.
 */
export async function watchSchedules(options: SyncOptions, stillMine: () => Promise<boolean>): Promise<void> {
  for (let afterId = ''; ; ) {
    const rows = await nextPage(options, afterId);
    for (const row of rows) {
      try {
        await watchOne(options, row);
      } catch (error) {
        options.log.warn({ scheduleId: row.id, error }, 'schedules: one could not be looked after; trying again');
      }
    }
    if (rows.length < schedulesAtOnce || !(await stillMine())) return;
    afterId = rows.at(-1)?.id ?? '';
  }
}

const nextPage = ({ system }: SyncOptions, afterId: string) => system.sql<WatchedRow[]>`
    select s.id, s.workspace_id as "workspaceId", s.name, s.definition, s.created_by as "createdBy", s.granted, s.watched_at as "watchedAt",
      (extract(epoch from clock_timestamp() - s.suspect_since) * 1000)::float8 as "suspectMs", s.counted_missed as "countedMissed", s.counted_skipped as "countedSkipped",
      (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs", m.roles, p.installation_role as "installationRole",
      coalesce((select name from kos.principals where id = s.created_by), s.created_by) as person,
      exists (select from kos.schedule_starts o where o.schedule_id = s.id and o.status = 'ordered') as "ordersOpen"
    from kos.schedules s
      left join kos.principals p on p.id = s.created_by and p.disabled_at is null
      left join kos.memberships m on m.workspace_id = s.workspace_id and m.principal_id = p.id and not m.disabled
    where s.id > ${afterId} and s.deleted_at is null and not s.paused and s.synced_version = s.version order by s.id limit ${schedulesAtOnce}`;

async function watchOne({ system, door }: SyncOptions, row: WatchedRow): Promise<void> {
  const lost = lostRight(row.granted, row.roles === null ? null : { roles: row.roles, installationRole: row.installationRole }, 'runs:start', row.person);
  if (lost !== null) return await system.sql.begin((sql) => pauseSchedule({ sql }, { workspaceId: row.workspaceId, actor: 'kos', id: row.id, note: lost }));
  const untilMs = row.nowMs - graceMs - row.definition.spec.jitterMs;
  const due = dueTimes(checkSpec(row.definition.spec), row.watchedAt.getTime(), untilMs, timesAtOnce);
  if (due.length === 0 && !row.ordersOpen) return;
  const absent = await absentOf(system.sql, row.id, due, untilMs);
  const seenUntil = due.length === timesAtOnce ? (due.at(-1) ?? untilMs) : untilMs;
  if (absent.length === 0) return void (await settle(system.sql, row.id, { watchedMs: seenUntil, isSuspect: false }));
  const counts = await door.count(row.id);
  if (counts === null) return await tellAgain(system.sql, row.id);
  const counted = { missed: counts.missed - row.countedMissed, skipped: counts.skipped - row.countedSkipped };
  const verdict = judgeAbsent(absent, { ...counted, buffered: counts.buffered, givenUp: (row.suspectMs ?? 0) > suspectMs });
  await system.sql.begin(async (sql) => {
    await writeVerdict(sql, row, verdict);
    await noteCounts(sql, row.id, counts, counted);
    const firstOpen = verdict.open[0]?.atMs;
    await settle(sql, row.id, {
      watchedMs: firstOpen === undefined ? seenUntil : Math.min(seenUntil, firstOpen - 1),
      isSuspect: verdict.open.length > 0 && counts.buffered === 0,
    });
  });
}

interface Absent {
  atMs: number;
  orderId: string;
}

/** Times that were due without a start, and starts that were ordered and did not come. */
async function absentOf(sql: SyncOptions['system']['sql'], id: string, due: readonly number[], untilMs: number): Promise<Absent[]> {
  const iso = due.map((time) => new Date(time).toISOString());
  const times = await sql<{ at: Date }[]>`
    select value::timestamptz as at from jsonb_array_elements_text(${sql.json(iso)})
    where not exists (select from kos.schedule_starts s where s.schedule_id = ${id} and s.order_id = '' and s.nominal_at = value::timestamptz)`;
  const ordered = await sql<{ at: Date; orderId: string }[]>`
    select s.nominal_at as at, s.order_id as "orderId" from kos.schedule_starts s join kos.schedule_orders o on o.id = s.order_id
    where s.schedule_id = ${id} and s.status = 'ordered' and o.sent_at < ${new Date(untilMs)} order by s.nominal_at limit ${timesAtOnce}`;
  return [...times.map(({ at }) => ({ atMs: at.getTime(), orderId: '' })), ...ordered.map(({ at, orderId }) => ({ atMs: at.getTime(), orderId }))];
}

async function writeVerdict(sql: TransactionSql, row: WatchedRow, verdict: ReturnType<typeof judgeAbsent<Absent>>): Promise<void> {
  const { id, workspaceId, name } = row;
  const write = (starts: readonly Absent[], status: 'missed' | 'skipped', reason: string) =>
    sql`
      insert into kos.schedule_starts (workspace_id, schedule_id, nominal_at, order_id, kind, status, reason)
      select ${workspaceId}, ${id}, (value->>'at')::timestamptz, value->>'orderId', 'regular', ${status}, ${reason}
      from jsonb_array_elements(${sql.json(starts.map(({ atMs, orderId }) => ({ at: new Date(atMs).toISOString(), orderId })))})
      on conflict (schedule_id, nominal_at, order_id) do update set status = excluded.status, reason = excluded.reason, at = clock_timestamp()
        where schedule_starts.status = 'ordered'
      returning nominal_at as "nominalAt"`;
  await write(verdict.skipped, 'skipped', 'An earlier run of the schedule was still open.');
  const missed = await write(verdict.missed, 'missed', 'kOS or Temporal was not there when it was due, and it was too old to be made up for when they were.');
  if (missed.length === 0) return;
  const nominalAt = (missed as unknown as { nominalAt: Date }[]).map((start) => start.nominalAt.toISOString()).slice(0, 100);
  await recordEvents(sql, [{ workspaceId, runId: null, type: 'schedule.missed', data: { scheduleId: id, name, count: missed.length, nominalAt } }]);
}

/** What was counted since is accounted for, whether or not a time could be found for it. */
const noteCounts = (sql: TransactionSql, id: string, counts: ScheduleCounts, fresh: { missed: number; skipped: number }) =>
  fresh.missed === 0 && fresh.skipped === 0
    ? Promise.resolve([])
    : sql`update kos.schedules set counted_missed = ${counts.missed}, counted_skipped = ${counts.skipped} where id = ${id}`;

const settle = (sql: Transaction['sql'] | SyncOptions['system']['sql'], id: string, { watchedMs, isSuspect }: { watchedMs: number; isSuspect: boolean }) => sql`
  update kos.schedules set watched_at = greatest(watched_at, ${new Date(watchedMs)}), suspect_since = ${isSuspect ? sql`coalesce(suspect_since, clock_timestamp())` : null}
  where id = ${id}`;

/** Temporal has lost it, and begins to count again. */
async function tellAgain(sql: SyncOptions['system']['sql'], id: string): Promise<void> {
  await sql`update kos.schedules set synced_version = 0, counted_missed = 0, counted_skipped = 0, sync_after = clock_timestamp() where id = ${id}`;
}

const askedAtOnce = 20;

/**
 * Asks Temporal whether it still knows the next few schedules; its store may have been lost while none was due. Those that it does not know are told of again.
 * Returns where to go on.
 */
export async function verifyKnown({ system, door }: SyncOptions, afterId: string): Promise<string> {
  const rows = await system.sql<{ id: string }[]>`
    select id from kos.schedules where id > ${afterId} and deleted_at is null and synced_version = version order by id limit ${askedAtOnce}`;
  for (const { id } of rows) if ((await door.count(id)) === null) await tellAgain(system.sql, id);
  return rows.length === askedAtOnce ? (rows.at(-1)?.id ?? '') : '';
}
