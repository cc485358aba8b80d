import { KosError } from '#core/errors.ts';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import { runNotFound } from './read.ts';

export interface RunChange {
  workspaceId: string;
  actor: string;
  runId: string;
}

async function lockRun({ sql }: Transaction, runId: string): Promise<{ status: RunStatus; cancelRequestedAt: Date | null }> {
  const [row] = await sql<{ status: RunStatus; cancelRequestedAt: Date | null }[]>`
    select status, cancel_requested_at as "cancelRequestedAt" from kos.runs where id = ${runId} for update`;
  if (row === undefined) throw runNotFound(runId);
  return row;
}

/** Asks for the run's end: recorded here, told to Temporal by the outbox. A second request changes nothing. Throws KosError `run_final` (409). */
export async function requestCancel(transaction: Transaction, change: RunChange & { reason: string | null }): Promise<void> {
  const { workspaceId, actor, runId, reason } = change;
  const { sql } = transaction;
  const run = await lockRun(transaction, runId);
  if (isFinalRunStatus(run.status)) {
    throw new KosError({
      code: 'run_final',
      message: `The run ${runId} has ${run.status} already: there is nothing to cancel.`,
      status: 409,
      extra: { runStatus: run.status },
    });
  }
  if (run.cancelRequestedAt !== null) return;
  await sql`update kos.runs set cancel_requested_at = now(), cancel_requested_by = ${actor}, cancel_reason = ${reason} where id = ${runId}`;
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'cancel', ${sql.json({ requestedBy: actor, reason })})`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.cancel', subject: runId, data: { reason } }]);
}

/** A pinned run is never pruned. */
export async function setPinned(transaction: Transaction, change: RunChange & { pinned: boolean }): Promise<void> {
  const { workspaceId, actor, runId, pinned } = change;
  await lockRun(transaction, runId);
  const changed = await transaction.sql`update kos.runs set pinned = ${pinned} where id = ${runId} and pinned <> ${pinned} returning id`;
  if (changed.length === 0) return;
  await recordAudit(transaction.sql, [{ workspaceId, actor, action: pinned ? 'run.pin' : 'run.unpin', subject: runId, data: {} }]);
}
