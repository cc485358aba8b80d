import type { WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { describePlace } from './line.ts';
import { waitsForItsTime } from './start-times.ts';

/**
 * What a run that nobody has begun waits for, whatever its row says now: its turn in the line of its plan, or its time. Null: its start is on its way, or is held
 * back for a while, which the outbox tells again by itself.
 */
export async function readWaitToStart(sql: TransactionSql, runId: string): Promise<WaitingFor | null> {
  const [run] = await sql<{ startAt: Date | null; inLine: boolean }[]>`
    select case when start_at > clock_timestamp() then start_at end as "startAt",
      exists (select from kos.concurrency_slots s where s.run_id = r.id and s.held_at is null) as "inLine"
    from kos.runs r where id = ${runId} and claimed_by is null and status in ('queued', 'paused')`;
  if (run === undefined) return null;
  if (run.inLine) return await describePlace(sql, runId);
  return run.startAt === null ? null : waitsForItsTime(run.startAt);
}

/** A run that goes on after a pause, and was not under way before, waits for what it waited for. */
export async function tellWaitToStart(sql: TransactionSql, runId: string): Promise<void> {
  const waitingFor = await readWaitToStart(sql, runId);
  if (waitingFor !== null) await sql`update kos.runs set waiting_for = ${sql.json({ ...waitingFor })} where id = ${runId} and status = 'queued'`;
}
