import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import { lockRunFor, orderLook, type RunChange } from './locked-run.ts';

/** 1 is served first, 5 last. What the run begins from now on is served so, and so is what the open runs below it begin. Throws KosError `run_final` (409). */
export async function prioritizeRun({ sql }: Transaction, change: RunChange & { priority: number }): Promise<void> {
  const { workspaceId, actor, runId, priority } = change;
  if ((await lockRunFor(sql, 'prioritize', runId)) === null) return;
  const changed = await sql<{ id: string }[]>`
    update kos.runs set priority = ${priority}, control_version = control_version + 1 where id = ${runId} and priority <> ${priority} returning id`;
  if (changed.length === 0) return;
  await orderLook(sql, change);
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.prioritize', subject: runId, data: { priority } }]);
  await prioritizeSubRuns(sql, change);
}

/** Level by level, since a run that is just being started below another is seen only once that other's row is held. */
async function prioritizeSubRuns(sql: TransactionSql, { workspaceId, actor, runId, priority }: RunChange & { priority: number }): Promise<void> {
  for (let parents = [runId]; parents.length > 0; ) {
    const below = await sql<{ id: string; parentRunId: string }[]>`
      with changed as (
        update kos.runs set priority = ${priority}, control_version = control_version + 1
        where parent_run_id = any(string_to_array(${parents.join(',')}, ',')) and status in ('queued', 'running', 'waiting', 'paused') returning id, parent_run_id
      ), told as (insert into kos.outbox (workspace_id, run_id, kind, payload) select ${workspaceId}, id, 'control', '{}'::jsonb from changed)
      select id, parent_run_id as "parentRunId" from changed`;
    const entries = below.map(({ id, parentRunId }) => ({ workspaceId, actor, action: 'run.prioritize', subject: id, data: { priority, with: parentRunId } }));
    for (let from = 0; from < entries.length; from += auditedAtOnce) await recordAudit(sql, entries.slice(from, from + auditedAtOnce));
    parents = below.map(({ id }) => id);
  }
}

/** Entries that are written in one statement. */
const auditedAtOnce = 500;
