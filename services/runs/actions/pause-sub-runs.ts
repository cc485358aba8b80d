import type { PendingQuery, Row } from 'postgres';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { tellWaitToStart } from '../wait-to-start.ts';

interface Pause {
  workspaceId: string;
  /** Who paused, or resumed, the outermost of them. */
  actor: string;
  reason: string | null;
}

interface SubRunRow {
  id: string;
  parentRunId: string;
}

/** Runs that are told of in one statement. */
const batch = 500;

/**
 * A run is paused, in this transaction, and its row is held: so are the runs below it that are open. `paused_by` is then the run above, by which its resume
 * finds them again; one that somebody paused by hand stays theirs. Level by level, since a run that is just being started below another is seen only once
 * that other's row is held.
 */
export async function pauseSubRuns(sql: TransactionSql, runId: string, pause: Pause): Promise<void> {
  await levelByLevel([runId], (parents) => pauseThose(sql, sql`parent_run_id in ${sql(parents)}`, pause));
}

/** For a run that is being started while the one above it is being paused: whichever of the two came first, it is paused. Holds the row of the run above. */
export async function pauseWithParent(sql: TransactionSql, run: { workspaceId: string; runId: string; parentRunId: string }): Promise<void> {
  const [parent] = await sql<{ status: string; reason: string | null }[]>`
    select status, pause_reason as reason from kos.runs where id = ${run.parentRunId} for no key update`;
  if (parent?.status === 'paused') await pauseThose(sql, sql`id = ${run.runId}`, { workspaceId: run.workspaceId, actor: 'kos', reason: parent.reason });
}

async function pauseThose(sql: TransactionSql, which: PendingQuery<Row[]>, pause: Pause): Promise<SubRunRow[]> {
  const because = pause.reason === null ? '.' : `: ${pause.reason}`;
  const paused = await sql<SubRunRow[]>`
    update kos.runs set status = 'paused', paused_at = clock_timestamp(), paused_by = parent_run_id, pause_reason = ${pause.reason}, control_version = control_version + 1,
      waiting_for = jsonb_build_object('kind', 'paused', 'ref', parent_run_id, 'until', null,
        'text', 'Paused with the run that started it, ' || parent_run_id || ${because}::text)
    where ${which} and status in ('queued', 'running', 'waiting') and cancel_requested_at is null
    returning id, parent_run_id as "parentRunId"`;
  await tell(sql, pause, paused, { type: 'run.paused', action: 'run.pause' });
  return paused;
}

/** The run goes on: so do those that were paused with it. */
export async function resumeSubRuns(sql: TransactionSql, runId: string, pause: Pause): Promise<void> {
  await levelByLevel([runId], async (parents) => {
    const resumed = await sql<SubRunRow[]>`
      update kos.runs set status = case when claimed_by is null then 'queued' else 'running' end, paused_at = null, paused_by = null, pause_reason = null,
        waiting_for = null, control_version = control_version + 1
      where parent_run_id in ${sql(parents)} and status = 'paused' and paused_by = parent_run_id
      returning id, parent_run_id as "parentRunId"`;
    for (const { id } of resumed) await tellWaitToStart(sql, id);
    await tell(sql, pause, resumed, { type: 'run.resumed', action: 'run.unpause' });
    return resumed;
  });
}

async function levelByLevel(top: string[], change: (parents: string[]) => Promise<SubRunRow[]>): Promise<void> {
  for (let parents = top; parents.length > 0; ) {
    const changed: string[] = [];
    for (let from = 0; from < parents.length; from += batch) changed.push(...(await change(parents.slice(from, from + batch))).map(({ id }) => id));
    parents = changed;
  }
}

/** Their workflows are reminded to look, and it stands in their records. */
async function tell(
  sql: TransactionSql,
  { workspaceId, actor, reason }: Pause,
  changed: SubRunRow[],
  { type, action }: { type: 'run.paused' | 'run.resumed'; action: string },
): Promise<void> {
  for (let from = 0; from < changed.length; from += batch) {
    const some = changed.slice(from, from + batch);
    await sql`insert into kos.outbox ${sql(some.map(({ id }) => ({ workspace_id: workspaceId, run_id: id, kind: 'control', payload: sql.json({}) })))}`;
    await recordEvents(
      sql,
      some.map(({ id, parentRunId }) => ({ workspaceId, runId: id, type, data: { by: actor, reason, with: parentRunId } })),
    );
    await recordAudit(
      sql,
      some.map(({ id, parentRunId }) => ({ workspaceId, actor, action, subject: id, data: { reason, with: parentRunId } })),
    );
  }
}
