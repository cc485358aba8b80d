import type { PendingQuery, Row } from 'postgres';
import type { Claim } from '#core/engine/claim.ts';
import type { Json } from '#schemas/json.ts';
import type { FinalRunStatus, OutcomeError } from '#schemas/run.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';
import { type AuditRecord, type EventRecord, recordAudit, recordedWithChange, recordEvents } from '#services/records/record.ts';
import { Superseded } from './header.ts';
import { orderFailureHandler } from './order-failure-handler.ts';
import { cancelSubRuns, tellCaller } from './sub-runs.ts';

export interface RunEnding {
  status: FinalRunStatus;
  output: Json;
  error: OutcomeError | null;
}

/** Closes the run for good: its row, what was still open in it, event and audit entry. */
export async function closeRunRow(sql: TransactionSql, claim: Claim, ending: RunEnding): Promise<void> {
  const { workspaceId, runId, generation } = claim;
  const [closed] = await sql`
    with changed as (
      update kos.runs set status = ${ending.status}, output = ${jsonParameter(sql, ending.output)}, error = ${ending.error === null ? null : sql.json(ending.error)},
        waiting_for = null, finished_at = clock_timestamp(), started_at = coalesce(started_at, clock_timestamp()), claimed_by = coalesce(claimed_by, ${claim.chain})
      where id = ${runId} and generation = ${generation} and (claimed_by is null or claimed_by = ${claim.chain}) and status in ('queued', 'running', 'waiting', 'paused')
      returning id)${recordedWithChange(sql, { events: [endEvent(workspaceId, runId, ending)], audit: endAudit(workspaceId, runId, ending) })}
    select id from changed`;
  if (closed === undefined) throw new Superseded(claim);
  if (ending.status === 'failed') await orderFailureHandler(sql, runId);
}

/** Event and audit entry of an end that the engine did not bring about. */
export async function recordClosed(sql: TransactionSql, workspaceId: string, runId: string, ending: RunEnding): Promise<void> {
  await tellCaller(sql, { workspaceId, runId });
  if (ending.status === 'failed') await orderFailureHandler(sql, runId);
  await Promise.all([recordEvents(sql, [endEvent(workspaceId, runId, ending)]), recordAudit(sql, [endAudit(workspaceId, runId, ending)])]);
}

const endEvent = (workspaceId: string, runId: string, { status, error }: RunEnding): EventRecord => ({
  workspaceId,
  runId,
  type: `run.${status}`,
  data: error === null ? {} : { error },
});

const endAudit = (workspaceId: string, runId: string, { status, error }: RunEnding): AuditRecord => ({
  workspaceId,
  actor: 'kos',
  action: `run.${status}`,
  subject: runId,
  data: error === null ? {} : { code: error.code },
});

/** Ends what is still open in a run that ends otherwise than by success: sub-runs are asked to end, steps are cancelled, waits and approvals voided, fences raised. */
export async function closeWhatIsOpen(sql: TransactionSql, workspaceId: string, runId: string): Promise<void> {
  await cancelSubRuns(sql, { workspaceId, runId });
  await closeOpen(sql, workspaceId, runId, { steps: sql`true`, paths: sql`true` });
}

/** The same for the items of one step that has failed while the run goes on. */
export async function closeOpenItems(sql: TransactionSql, workspaceId: string, runId: string, step: number): Promise<void> {
  const steps = sql`step = ${step} and item is not null`;
  await cancelSubRuns(sql, { workspaceId, runId, step });
  await closeOpen(sql, workspaceId, runId, { steps, paths: sql`step_path in (select path from kos.steps where run_id = ${runId} and ${steps})` });
}

async function closeOpen(
  sql: TransactionSql,
  workspaceId: string,
  runId: string,
  { steps, paths }: { steps: PendingQuery<Row[]>; paths: PendingQuery<Row[]> },
): Promise<void> {
  await sql`
    update kos.steps set status = 'cancelled', fence = fence + 1, waiting_for = null, retry_at = null, finished_at = clock_timestamp()
    where run_id = ${runId} and status in ('pending', 'running', 'waiting', 'retrying') and ${steps}`;
  await sql`update kos.waits set status = 'voided', version = version + 1, closed_at = clock_timestamp() where run_id = ${runId} and status = 'open' and ${paths}`;
  const voided = await sql<{ id: string; stepPath: string }[]>`
    update kos.approvals set status = 'voided', decided_at = clock_timestamp() where run_id = ${runId} and status = 'open' and ${paths}
    returning id, step_path as "stepPath"`;
  await recordEvents(
    sql,
    voided.map((approval) => ({ workspaceId, runId, type: 'approval.voided' as const, data: { approvalId: approval.id, stepPath: approval.stepPath } })),
  );
  await recordAudit(
    sql,
    voided.map((approval) => ({ workspaceId, actor: 'kos', action: 'approval.void', subject: approval.id, data: { runId, stepPath: approval.stepPath } })),
  );
}

/** The error that ended the run: that of the first step that failed. */
export async function firstFailure(sql: TransactionSql, runId: string, statuses: ('failed' | 'uncertain')[]): Promise<OutcomeError | null> {
  const [row] = await sql<{ path: string; status: string; error: OutcomeError }[]>`
    select path, status, error from kos.steps s where run_id = ${runId} and iteration is null and undoes is null and status in ${sql(statuses)} and error is not null
      and metadata->>'tolerated' is distinct from 'true'
      and not exists (select from kos.steps whole where whole.run_id = s.run_id and whole.path = split_part(s.path, '[', 1) and whole.metadata->>'tolerated' = 'true')
    order by finished_at limit 1`;
  return row?.error ?? null;
}
