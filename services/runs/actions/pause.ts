import type { WaitingFor } from '#schemas/run.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { nameOf } from '#services/people/name-of.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { tellWaitToStart } from '../wait-to-start.ts';
import { lockRunFor, orderLook, type RunChange } from './locked-run.ts';
import { pauseSubRuns, resumeSubRuns } from './pause-sub-runs.ts';

/** What runs is finished, nothing new starts, deadlines stay as they are; the same for the runs below it. Throws KosError `run_final`, `run_being_cancelled` (409). */
export async function pauseRun({ sql }: Transaction, change: RunChange & { reason: string | null }): Promise<void> {
  const { workspaceId, actor, runId, reason } = change;
  if ((await lockRunFor(sql, 'pause', runId)) === null) return;
  const waitingFor: WaitingFor = {
    kind: 'paused',
    ref: null,
    until: null,
    text: `Paused by ${await nameOf(sql, actor)}${reason === null ? '.' : `: ${reason}`}`,
  };
  await sql`
    update kos.runs set status = 'paused', paused_at = clock_timestamp(), paused_by = ${actor}, pause_reason = ${reason}, waiting_for = ${sql.json({ ...waitingFor })},
      control_version = control_version + 1
    where id = ${runId}`;
  await orderLook(sql, change);
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.paused', data: { by: actor, reason } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.pause', subject: runId, data: { reason } }]);
  await pauseSubRuns(sql, runId, { workspaceId, actor, reason });
}

/** The run goes on, and with it the runs below that were paused with it. Throws KosError `run_not_paused`, `run_final` (409). */
export async function resumeRun({ sql }: Transaction, change: RunChange & { reason: string | null }): Promise<void> {
  if ((await lockRunFor(sql, 'resume', change.runId)) !== null) await liftPause(sql, change);
}

/** Of a run whose row is held, and that is paused. What ends a run goes on, too: it is to undo what its steps did. */
export async function liftPause(sql: TransactionSql, change: RunChange & { reason: string | null }): Promise<void> {
  const { workspaceId, actor, runId, reason } = change;
  await sql`
    update kos.runs set status = case when claimed_by is null then 'queued' else 'running' end, paused_at = null, paused_by = null, pause_reason = null,
      waiting_for = null, control_version = control_version + 1
    where id = ${runId}`;
  await tellWaitToStart(sql, runId);
  await orderLook(sql, change);
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.resumed', data: { by: actor, reason } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.unpause', subject: runId, data: { reason } }]);
  await resumeSubRuns(sql, runId, { workspaceId, actor, reason });
}
