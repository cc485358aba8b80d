import type { Logger } from 'pino';
import { checkSpec } from '#core/schedule/spec.ts';
import type { OverlapPolicy } from '#schemas/schedule.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import type { ScheduleDoor } from '#services/temporal/schedule-door.ts';
import { scheduleColumns, type ScheduleRow } from './row.ts';

export interface SyncOptions {
  system: SystemDatabase;
  door: ScheduleDoor;
  log: Logger;
}

const batch = 50;
const retryAfterSeconds = 2;

/** Tells Temporal of schedules that were changed, and of orders. Several processes may do so: one at a time tells of one schedule. True: there may be more. */
export async function syncSchedules(options: SyncOptions): Promise<boolean> {
  const { sql } = options.system;
  const due = await sql<{ id: string }[]>`
    select id from kos.schedules where synced_version < version and sync_after <= clock_timestamp() order by sync_after limit ${batch}`;
  for (const { id } of due) await syncOne(options, id);
  const orders = await sendOrders(options);
  return due.length === batch || orders === batch;
}

async function syncOne({ system, door, log }: SyncOptions, id: string): Promise<void> {
  try {
    await system.sql.begin(async (sql) => {
      const [lock] = await sql<{ free: boolean }[]>`select pg_try_advisory_xact_lock(hashtextextended(${`schedule ${id}`}, 0)) as free`;
      if (lock?.free !== true) return;
      const [row] = await sql<ScheduleRow[]>`select ${scheduleColumns(sql)} from kos.schedules where id = ${id} and synced_version < version`;
      if (row === undefined) return;
      if (row.deleted) {
        await door.remove(id);
        for (const table of ['schedule_starts', 'schedule_orders']) await sql`delete from kos.${sql(table)} where schedule_id = ${id}`;
        await sql`delete from kos.schedules where id = ${id}`;
        return;
      }
      const { overlap, catchupWindowMs, spec } = row.definition;
      const { cron: _cron, ...checked } = { cron: null, ...checkSpec(spec) };
      await door.put({ id, workspaceId: row.workspaceId, spec: checked, overlap, catchupWindowMs, paused: row.paused, note: row.note, runsLeft: row.runsLeft });
      await sql`update kos.schedules set synced_version = ${row.version}, sync_error = null where id = ${id}`;
    });
  } catch (error) {
    log.warn({ scheduleId: id, error }, 'schedules: Temporal could not be told of a schedule; trying again');
    await putOff(system, id, error);
  }
}

interface OrderRow {
  id: string;
  scheduleId: string;
  kind: 'manual' | 'backfill';
  overlap: OverlapPolicy;
  fromAt: Date;
  toAt: Date;
}

/**
 * Those of schedules that Temporal knows. An order is sent before it is marked as sent, under a lock: whoever is killed in between sends it again, and told
 * twice it starts nothing twice, for its times are its starts' keys. One that fails waits with its schedule, and holds no other up.
 */
async function sendOrders(options: SyncOptions): Promise<number> {
  const { sql } = options.system;
  const orders = await sql<OrderRow[]>`
    select o.id, o.schedule_id as "scheduleId", o.kind, o.overlap, o.from_at as "fromAt", o.to_at as "toAt" from kos.schedule_orders o join kos.schedules s on s.id = o.schedule_id
    where o.sent_at is null and s.synced_version > 0 and s.deleted_at is null and s.sync_after <= clock_timestamp()
    order by o.created_at limit ${batch}`;
  for (const order of orders) await sendOrder(options, order);
  return orders.length;
}

async function sendOrder({ system, door, log }: SyncOptions, { id, kind, scheduleId, overlap, fromAt, toAt }: OrderRow): Promise<void> {
  try {
    await system.sql.begin(async (sql) => {
      const [mine] = await sql`select from kos.schedule_orders where id = ${id} and sent_at is null for update skip locked`;
      if (mine === undefined) return;
      if (kind === 'manual') await door.startNow(scheduleId, { nominalAt: fromAt, overlap });
      else await door.backfill(scheduleId, { from: fromAt, to: toAt, overlap });
      await sql`update kos.schedule_orders set sent_at = clock_timestamp() where id = ${id}`;
      await sql`update kos.schedules set sync_error = null where id = ${scheduleId} and sync_error is not null`;
    });
  } catch (error) {
    log.warn({ orderId: id, error }, 'schedules: Temporal could not be told of an order; trying again');
    await putOff(system, scheduleId, error);
  }
}

async function putOff(system: SystemDatabase, scheduleId: string, error: unknown): Promise<void> {
  const because = error instanceof Error ? error.message : String(error);
  await system.sql`
    update kos.schedules set sync_error = ${because}, sync_after = clock_timestamp() + make_interval(secs => ${retryAfterSeconds}) where id = ${scheduleId}`;
}
