import { KosError } from '#core/errors.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { nextUndoables, readUndoableSteps, tallyUndos } from '../ledger/undos.ts';
import { calledBy, type LockedRun, type Retry } from './locked-run.ts';

/** Paths named in the audit entry: enough to see what it was about. */
const pathsTold = 50;

/**
 * Reopens a run that has begun to undo what it did: it cannot go forward any more, so what is tried again are the undos that did not succeed, with all their
 * attempts, and those that were not begun. Then it ends as it did. Throws KosError `run_compensated` (409): nothing is left to be undone.
 */
export async function retryUndos(sql: TransactionSql, run: LockedRun, change: Retry): Promise<void> {
  const { workspaceId, actor, runId, reason, caller } = change;
  const again = await sql<{ path: string }[]>`
    update kos.steps set status = 'pending', attempt = 0, fence = fence + 1, output = null, output_id = null, error = null, waiting_for = null, retry_at = null,
      started_at = null, finished_at = null, metadata = metadata || jsonb_build_object('attemptsBefore', coalesce((metadata->>'attemptsBefore')::int, 0) + attempt)
    where run_id = ${runId} and undoes is not null and status in ('failed', 'cancelled') returning path`;
  const undoable = await readUndoableSteps(sql, runId);
  if ((await nextUndoables(sql, runId, undoable, 1)).length === 0) throw compensated(runId, (await tallyUndos(sql, runId, undoable)).left);
  await sql`
    update kos.runs set status = 'queued', error = null, waiting_for = null, finished_at = null, generation = generation + 1, claimed_by = null,
      undo_on_cancel = true, paused_at = null, paused_by = null, pause_reason = null, control_version = control_version + 1
    where id = ${runId}`;
  const order = { resume: true, after: run.claimedBy };
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'start', ${sql.json(order)})`;
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.resumed', data: { by: actor, reason, retry: true, undo: true, ...calledBy(caller) } }]);
  const data = { reason, ...calledBy(caller), ended: run.status, undo: true, again: again.slice(0, pathsTold).map(({ path }) => path) };
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.retry', subject: runId, data }]);
}

/** What was undone must be done under a key that the outside does not know yet: that is another run. */
const compensated = (runId: string, left: number): KosError => {
  const stays = left === 0 ? '' : `, but for ${left === 1 ? 'one step, whose undo was' : `${left} steps, whose undos were`} skipped`;
  return new KosError({
    code: 'run_compensated',
    message: `The run ${runId} has undone what it did${stays}: it cannot go on from there.`,
    fix: `Begin anew: kai run replay ${runId}`,
    status: 409,
  });
};
