import { currentRules } from '#core/engine/decide.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { tellWaitToStart } from '../wait-to-start.ts';
import { assertHeard } from './calling-run.ts';
import { calledBy, lockRunFor, type Retry } from './locked-run.ts';
import { markRetried } from './mark-retried.ts';
import { retryUndos } from './retry-undos.ts';

/** Paths named in the audit entry: enough to see what it was about. */
const pathsTold = 50;

/**
 * Reopens a run that ended without success: same id, same effect keys, next generation, by today's rules. What failed or was cut off runs again with all its
 * attempts, what did not run runs, what succeeded stays; an uncertain step waits for a person. Its time, where it is bounded, begins anew; a deadline and a
 * start that are still to come stay. One that has begun to undo what it did goes on with that. A step that ran another plan goes on with its sub-run (continue-sub-run.ts). Throws KosError `run_open`, `run_succeeded`,
 * `run_compensated`, `caller_ended` (409).
 */
export async function retryRun({ sql }: Pick<Transaction, 'sql'>, change: Retry): Promise<void> {
  const { workspaceId, actor, runId, reason, caller } = change;
  const run = await lockRunFor(sql, 'retry', runId);
  if (run === null) return;
  if (run.ending !== null) return await retryUndos(sql, run, change);
  if (caller === undefined) await assertHeard(sql, runId);
  const again = await resetSteps(sql, change);
  await sql`
    update kos.runs r set status = 'queued', output = null, error = null, waiting_for = null, finished_at = null, generation = generation + 1, claimed_by = null,
      rules = ${currentRules}, cancel_requested_at = null, cancel_requested_by = null, cancel_reason = null, undo_on_cancel = true, paused_at = null, paused_by = null, pause_reason = null,
      control_version = control_version + 1,
      ${timesAgain(sql)}
    where id = ${runId}`;
  await tellWaitToStart(sql, runId);
  const order = { resume: true, after: run.claimedBy };
  await sql`
    insert into kos.outbox (workspace_id, run_id, kind, payload, next_attempt_at)
    select ${workspaceId}, id, 'start', ${sql.json(order)}::jsonb || case when start_at is null then '{}'::jsonb else '{"later": true}'::jsonb end,
      coalesce(start_at, clock_timestamp()) from kos.runs where id = ${runId}`;
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.resumed', data: { by: actor, reason, retry: true, ...calledBy(caller) } }]);
  const data = { reason, ...calledBy(caller), ended: run.status, steps: again.length, again: again.slice(0, pathsTold) };
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.retry', subject: runId, data }]);
}

/**
 * For `update kos.runs r set …`. A start that was put off and is still to come stays, and its own time begins then; else that begins now. A deadline that was asked
 * for stays while it is to come: one that has passed would end the retry before it began.
 */
function timesAgain(sql: TransactionSql) {
  const planTimeout = sql`(
    select (v.shape->>'timeoutMs')::bigint from kos.plan_versions v where v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version)`;
  const startsLater = sql`(r.started_at is null and r.start_at > clock_timestamp())`;
  // Earlier releases kept of a run that its plan does not bound what it asked for, and of another one nothing.
  const asked = sql`coalesce(r.deadline_asked_at, case when r.timeout_ms is null and r.parent_run_id is null then r.deadline_at end)`;
  return sql`
    start_at = case when ${startsLater} then r.start_at end, timeout_ms = coalesce(r.timeout_ms, ${planTimeout}),
    deadline_at = least(case when ${asked} > clock_timestamp() then ${asked} end,
      case when not ${startsLater} then clock_timestamp() + make_interval(secs => coalesce(r.timeout_ms, ${planTimeout}) / 1000.0) end,
      (select above.deadline_at from kos.runs above where above.id = r.parent_run_id and above.status in ('queued', 'running', 'waiting', 'paused')))`;
}

/**
 * A step that had opened its items goes on with those that did not succeed, one that repeats with the round that did not; one whose rounds were not enough has as
 * many again.
 */
async function resetSteps(sql: TransactionSql, { runId, actor, reason }: Retry): Promise<string[]> {
  const untolerated = sql`metadata->>'tolerated' is distinct from 'true'`;
  const reset = sql`
    attempt = 0, fence = fence + 1, output = null, output_id = null, error = null, waiting_for = null, retry_at = null, started_at = null, finished_at = null,
    metadata = metadata || jsonb_build_object('attemptsBefore', coalesce((metadata->>'attemptsBefore')::int, 0) + attempt) || ${markRetried(sql, actor, reason)}
      || case when error->>'code' = 'repeat_exhausted' then jsonb_build_object('boundFrom', metadata->'rounds') else '{}'::jsonb end`;
  const ended = sql`status in ('failed', 'cancelled')`;
  // A round goes with the step, or the item, that it belongs to; so these are looked at before they are reset.
  const rounds = await sql<{ path: string }[]>`
    update kos.steps r set status = 'pending', ${reset}
    where run_id = ${runId} and iteration is not null and ${ended}
      and exists (select from kos.steps s where s.run_id = r.run_id and s.path = split_part(r.path, '#', 1) and s.status in ('failed', 'cancelled')
        and s.metadata->>'tolerated' is distinct from 'true')
    returning path`;
  const items = await sql<{ path: string }[]>`
    update kos.steps set status = 'pending', ${reset}
    where run_id = ${runId} and item is not null and iteration is null and ${ended} and ${untolerated}
      and step in (select step from kos.steps where run_id = ${runId} and item is null and iteration is null and ${ended} and ${untolerated})
    returning path`;
  const steps = await sql<{ path: string }[]>`
    update kos.steps set status = case when metadata ? 'items' then 'running' else 'pending' end, ${reset}
    where run_id = ${runId} and item is null and iteration is null and ${ended} and ${untolerated}
    returning path`;
  return [...steps, ...items, ...rounds].map(({ path }) => path);
}
