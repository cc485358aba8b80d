import { allowsAction, type RunAction } from '#core/policy/run-actions.ts';
import { type Ending, isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { isUndoLeft } from '../ledger/undos.ts';
import { runNotFound } from '../read.ts';

/** Who does what to which run. */
export interface RunChange {
  workspaceId: string;
  actor: string;
  runId: string;
}

export interface Retry extends RunChange {
  reason: string | null;
  /** The run whose step goes on with this one, since it is retried itself. */
  caller?: string;
}

/** For the records of a sub-run that is retried with the run that started it. */
export const calledBy = (caller: string | undefined): { with?: string } => (caller === undefined ? {} : { with: caller });

export interface LockedRun {
  status: RunStatus;
  cancelRequested: boolean;
  startedAt: Date | null;
  generation: number;
  claimedBy: string | null;
  /** It undoes what its steps did, or has undone it, since it ends so; null: it does not. */
  ending: Ending | null;
}

/** The run's row until the end of the transaction. Throws KosError `run_not_found`. */
export async function lockRun(sql: TransactionSql, runId: string): Promise<LockedRun> {
  const [row] = await sql<LockedRun[]>`
    select status, cancel_requested_at is not null as "cancelRequested", started_at as "startedAt", generation, claimed_by as "claimedBy", ending
    from kos.runs where id = ${runId} for update`;
  if (row === undefined) throw runNotFound(runId);
  return row;
}

/** Null when there is nothing to do; throws KosError (409) when its state does not allow the action. */
export async function lockRunFor(
  sql: TransactionSql,
  action: RunAction,
  runId: string,
  /** What it is about is how a cancelled run ends. */
  { despiteCancel = false }: { despiteCancel?: boolean } = {},
): Promise<LockedRun | null> {
  const run = await lockRun(sql, runId);
  const undoing = run.ending === null || !isFinalRunStatus(run.status) ? null : (await isUndoLeft(sql, runId)) ? 'left' : 'over';
  return allowsAction(action, { runId, status: run.status, cancelRequested: run.cancelRequested && !despiteCancel, undoing }) ? run : null;
}

/** Reminds the run's workflow to look at its row. Of an open run only. */
export async function orderLook(sql: TransactionSql, { workspaceId, runId }: RunChange): Promise<void> {
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'control', ${sql.json({})})`;
}
