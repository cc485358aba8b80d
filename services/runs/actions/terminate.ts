import type { OutcomeError } from '#schemas/run.ts';
import type { Transaction } from '#services/database/connect.ts';
import { nameOf } from '#services/people/name-of.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { closeWhatIsOpen } from '../ledger/close-run.ts';
import { tellCaller } from '../ledger/sub-runs.ts';
import { lockRunFor, type RunChange } from './locked-run.ts';

/**
 * Ends a run at once: whatever works for it can record nothing any more, and what it does outside may or may not happen. Nothing is undone. Its end stands in
 * this transaction; the outbox then ends the workflow. Throws KosError `run_final` (409).
 */
export async function terminateRun({ sql }: Transaction, change: RunChange & { reason: string | null }): Promise<void> {
  const { workspaceId, actor, runId, reason } = change;
  const run = await lockRunFor(sql, 'terminate', runId);
  if (run === null) return;
  const because = reason === null ? '.' : `: ${reason}`;
  const error: OutcomeError = { code: 'terminated', message: `The run was terminated by ${await nameOf(sql, actor)}${because}`, fix: null, stepPath: null };
  // Nor by those that its steps have started.
  await sql`update kos.runs set undo_on_cancel = false where id = ${runId}`;
  await closeWhatIsOpen(sql, workspaceId, runId);
  await sql`update kos.runs set status = 'terminated', error = ${sql.json(error)}, waiting_for = null, finished_at = clock_timestamp() where id = ${runId}`;
  const order = { reason: reason ?? `terminated by ${actor}`, generation: run.generation, chain: run.claimedBy };
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'terminate', ${sql.json(order)})`;
  await tellCaller(sql, { workspaceId, runId });
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.terminated', data: { by: actor, reason, error } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.terminate', subject: runId, data: { reason } }]);
}
