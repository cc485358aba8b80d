import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { nameOf } from '#services/people/name-of.ts';
import { recordAudit } from '#services/records/record.ts';
import { liftPause } from './actions/pause.ts';
import { lockRun, lockRunFor, orderLook, type RunChange } from './actions/locked-run.ts';
import { cancelledBefore, closeUnstarted, withdrawStart } from './unstarted.ts';

/**
 * Asks for the run's end: recorded here, told to Temporal by the outbox. `undo: false`: what its steps did stays. A second request changes nothing, but for
 * that: it may still say that the rest stays. Throws KosError `run_final` (409).
 */
export async function requestCancel({ sql }: Pick<Transaction, 'sql'>, change: RunChange & { reason: string | null; undo?: boolean }): Promise<void> {
  const { workspaceId, actor, runId, reason, undo = true } = change;
  const run = await lockRunFor(sql, 'cancel', runId);
  if (run === null) return;
  if (run.cancelRequested) return undo ? undefined : await leaveTheRest(sql, change);
  await sql`update kos.runs set cancel_requested_at = now(), cancel_requested_by = ${actor}, cancel_reason = ${reason}, undo_on_cancel = ${undo},
    control_version = control_version + ${undo ? 0 : 1} where id = ${runId}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.cancel', subject: runId, data: { reason, ...(undo ? {} : { undo }) } }]);
  if (run.status === 'paused') await liftPause(sql, change);
  if (await withdrawStart(sql, run, runId)) return await closeUnstarted(sql, workspaceId, runId, cancelledBefore(await nameOf(sql, actor), reason));
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'cancel', ${sql.json({ requestedBy: actor, reason })})`;
}

/** The reason of the run's end stays that of the first request. */
async function leaveTheRest(sql: TransactionSql, change: RunChange & { reason: string | null }): Promise<void> {
  const { workspaceId, actor, runId, reason } = change;
  const changed = await sql`
    update kos.runs set undo_on_cancel = false, control_version = control_version + 1 where id = ${runId} and undo_on_cancel returning id`;
  if (changed.length === 0) return;
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.cancel', subject: runId, data: { reason, undo: false } }]);
  await orderLook(sql, change);
}

/** A pinned run is never pruned. */
export async function setPinned({ sql }: Transaction, change: RunChange & { pinned: boolean }): Promise<void> {
  const { workspaceId, actor, runId, pinned } = change;
  await lockRun(sql, runId);
  const changed = await sql`update kos.runs set pinned = ${pinned} where id = ${runId} and pinned <> ${pinned} returning id`;
  if (changed.length === 0) return;
  await recordAudit(sql, [{ workspaceId, actor, action: pinned ? 'run.pin' : 'run.unpin', subject: runId, data: {} }]);
}
