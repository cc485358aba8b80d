import type { OutcomeError, WaitingFor } from '#schemas/run.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import type { LockedRun } from './actions/locked-run.ts';
import { closeWhatIsOpen, recordClosed, type RunEnding } from './ledger/close-run.ts';
import { tellCaller } from './ledger/sub-runs.ts';
import { isToldToWait } from './admission.ts';
import { isHeldBack } from './held-starts.ts';

/**
 * Takes back the start of a run that nobody has begun to work on: one that waits for its time or its turn, or is held. False: its start is on its way, or it has been
 * started. The caller holds the run's row.
 */
export async function withdrawStart(sql: TransactionSql, run: Pick<LockedRun, 'status' | 'claimedBy'>, runId: string): Promise<boolean> {
  if (run.claimedBy !== null || (run.status !== 'queued' && run.status !== 'paused')) return false;
  const [waited] = await sql`delete from kos.concurrency_slots where run_id = ${runId} and held_at is null returning id`;
  if (waited !== undefined) return true;
  // Due ones may be in somebody's hand, unless nobody may take them.
  const [put] = await sql`
    delete from kos.outbox o using kos.runs r where o.run_id = ${runId} and r.id = o.run_id and o.kind = 'start' and (
      (o.attempts = 0 and r.start_at > clock_timestamp() and o.next_attempt_at > clock_timestamp()) or (o.next_attempt_at <= clock_timestamp() and (${isHeldBack(sql)} or ${isToldToWait(sql)}))
    ) returning o.id`;
  return put !== undefined;
}

export const cancelledBefore = (by: string, reason: string | null): RunEnding => ({
  status: 'cancelled',
  output: null,
  error: {
    code: 'cancelled',
    message: `The run was cancelled by ${by} before it started${reason === null ? '.' : `: ${reason}`}`,
    fix: null,
    stepPath: null,
  },
});

/** Closes a run whose start was withdrawn. */
export async function closeUnstarted(sql: TransactionSql, workspaceId: string, runId: string, ending: RunEnding): Promise<void> {
  const closed = await sql`
    update kos.runs set status = ${ending.status}, error = ${ending.error === null ? null : sql.json(ending.error)}, waiting_for = null, finished_at = clock_timestamp()
    where id = ${runId} and status in ('queued', 'paused') returning id`;
  if (closed.length === 0) return;
  await closeWhatIsOpen(sql, workspaceId, runId);
  await tellCaller(sql, { workspaceId, runId });
  await recordClosed(sql, workspaceId, runId, ending);
}

const tooLate = (waitingFor: WaitingFor | null): OutcomeError => ({
  code: 'run_timeout',
  message: `The run had not started when its deadline passed.${waitingFor === null ? '' : ` ${waitingFor.text}`}`,
  fix: 'Start it again with a later deadline, or see that runs start sooner.',
  stepPath: null,
});

/** Ends a run that nobody has begun, and that its deadline ends. Its row is held. */
export async function closeOverdue(sql: TransactionSql, workspaceId: string, runId: string): Promise<void> {
  const [run] = await sql<{ waitingFor: WaitingFor | null }[]>`select waiting_for as "waitingFor" from kos.runs where id = ${runId}`;
  await closeUnstarted(sql, workspaceId, runId, { status: 'failed', output: null, error: tooLate(run?.waitingFor ?? null) });
}

/** Runs whose deadline passes while they wait in line, or their start is held back: nobody works on them who could notice. */
export async function closeOverdueUnstarted({ sql }: SystemDatabase): Promise<void> {
  const overdue = await sql<{ id: string; workspaceId: string }[]>`
    select r.id, r.workspace_id as "workspaceId" from kos.runs r
    where r.status in ('queued', 'paused') and r.claimed_by is null and r.deadline_at < clock_timestamp() and (
      exists (select from kos.concurrency_slots s where s.run_id = r.id and s.held_at is null)
      or exists (select from kos.outbox o where o.run_id = r.id and o.kind = 'start' and o.next_attempt_at <= clock_timestamp() and (${isHeldBack(sql)} or ${isToldToWait(sql)})))
    limit 100`;
  for (const { id, workspaceId } of overdue) {
    await sql.begin(async (transaction) => {
      const [run] = await transaction<LockedRun[]>`select status, claimed_by as "claimedBy" from kos.runs where id = ${id} for update`;
      if (run === undefined || !(await withdrawStart(transaction, run, id))) return;
      await closeOverdue(transaction, workspaceId, id);
    });
  }
}
