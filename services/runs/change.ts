import type { Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import { lockRun, lockRunFor, type RunChange } from './actions/locked-run.ts';
import { cancelledBefore, closeUnstarted, withdrawStart } from './unstarted.ts';

/**
 * Asks for the run's end: recorded here, told to Temporal by the outbox. `undo: false`: what its steps did stays. A second request changes nothing. Throws
 * KosError `run_final` (409).
 */
export async function requestCancel({ sql }: Pick<Transaction, 'sql'>, change: RunChange & { reason: string | null; undo?: boolean }): Promise<void> {
  const { workspaceId, actor, runId, reason, undo = true } = change;
  const run = await lockRunFor(sql, 'cancel', runId);
  if (run === null || run.cancelRequested) return;
  await sql`update kos.runs set cancel_requested_at = now(), cancel_requested_by = ${actor}, cancel_reason = ${reason}, undo_on_cancel = ${undo},
    control_version = control_version + ${undo ? 0 : 1} where id = ${runId}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.cancel', subject: runId, data: { reason, ...(undo ? {} : { undo }) } }]);
  if (await withdrawStart(sql, run, runId)) return await closeUnstarted(sql, workspaceId, runId, cancelledBefore(actor, reason));
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'cancel', ${sql.json({ requestedBy: actor, reason })})`;
}

/** A pinned run is never pruned. */
export async function setPinned({ sql }: Transaction, change: RunChange & { pinned: boolean }): Promise<void> {
  const { workspaceId, actor, runId, pinned } = change;
  await lockRun(sql, runId);
  const changed = await sql`update kos.runs set pinned = ${pinned} where id = ${runId} and pinned <> ${pinned} returning id`;
  if (changed.length === 0) return;
  await recordAudit(sql, [{ workspaceId, actor, action: pinned ? 'run.pin' : 'run.unpin', subject: runId, data: {} }]);
}
