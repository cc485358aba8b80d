import { KosError } from '#core/errors.ts';
import type { SetSchedule } from '#schemas/schedule.ts';
import type { TransactionSql } from '#services/database/connect.ts';

export interface ScheduleRow {
  id: string;
  workspaceId: string;
  name: string;
  definition: SetSchedule;
  paused: boolean;
  note: string | null;
  runsLeft: number | null;
  createdBy: string;
  granted: string[];
  version: number;
  syncedVersion: number;
  syncError: string | null;
  createdAt: Date;
  updatedAt: Date;
  deleted: boolean;
}

export const scheduleColumns = (sql: TransactionSql) => sql`
  id, workspace_id as "workspaceId", name, definition, paused, note, runs_left as "runsLeft", created_by as "createdBy", granted, version, synced_version as "syncedVersion",
  sync_error as "syncError", created_at as "createdAt", updated_at as "updatedAt", deleted_at is not null as deleted`;

/** The schedule's row until the end of the transaction. Throws KosError `schedule_not_found`. */
export async function lockSchedule(sql: TransactionSql, id: string): Promise<ScheduleRow> {
  const [row] = await sql<ScheduleRow[]>`select ${scheduleColumns(sql)} from kos.schedules where id = ${id} and deleted_at is null for update`;
  if (row === undefined) throw scheduleNotFound(id);
  return row;
}

/** To read. Throws KosError `schedule_not_found`. */
export async function seeSchedule(sql: TransactionSql, id: string): Promise<ScheduleRow> {
  const [row] = await sql<ScheduleRow[]>`select ${scheduleColumns(sql)} from kos.schedules where id = ${id} and deleted_at is null`;
  if (row === undefined) throw scheduleNotFound(id);
  return row;
}

export const scheduleNotFound = (id: string): KosError =>
  new KosError({ code: 'schedule_not_found', message: `There is no schedule ${id} in this workspace.`, fix: 'kai schedule list', status: 404 });

/** Tells Temporal of the row as it is after this transaction. What was due until now was due by the spec that held until now. */
export const changed = (sql: TransactionSql) => sql`
  version = version + 1, sync_after = clock_timestamp(), updated_at = clock_timestamp(), watched_at = greatest(watched_at, clock_timestamp()), suspect_since = null`;
