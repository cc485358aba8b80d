import type { Claim } from '#core/engine/claim.ts';
import type { OutcomeError, StepStatus, WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordEvents } from '#services/records/record.ts';
import type { StepPlace } from './take-step.ts';

export interface OpenWait {
  waitId: string;
  /** When it must be looked at again by the database's clock, ms: it ends then, is escalated, or is checked; null: it ends by a decision only. */
  endsInMs: number | null;
}

/** Temporal's timer may ring this much before the database's clock says so, ms: what is due by then is taken as due. */
export const earlyAtMostMs = 20;

/** What is left of a wait, or until its next escalation or check (ms): one that was decided while no workflow listened is due at once. */
const endsInMs = (sql: TransactionSql) => sql`
  case when w.status = 'open' then (extract(epoch from least(w.expires_at, w.next_look_at,
    (select min(e.due_at) from kos.approval_escalations e where e.wait_id = w.id and e.happened_at is null)) - clock_timestamp()) * 1000)::float8 else 0 end as "endsInMs"`;

/** The wait that a repeat of the opening activity finds: of a step that waits, the newest. One of an earlier try, before a retry of the run, is over. */
export async function findOpenWait(sql: TransactionSql, runId: string, stepPath: string): Promise<OpenWait | null> {
  const [row] = await sql<OpenWait[]>`
    select w.id as "waitId", ${endsInMs(sql)} from kos.waits w join kos.steps s on s.run_id = w.run_id and s.path = w.step_path
    where w.run_id = ${runId} and w.step_path = ${stepPath} and s.status = 'waiting' order by w.opened_at desc, w.id desc limit 1`;
  return row ?? null;
}

/** The waits of all steps and items that wait. */
export async function openWaits(sql: TransactionSql, runId: string): Promise<(OpenWait & { step: number; item: number | null })[]> {
  return await sql<(OpenWait & { step: number; item: number | null })[]>`
    select distinct on (s.path) s.step, s.item, w.id as "waitId", ${endsInMs(sql)}
    from kos.steps s join kos.waits w on w.run_id = s.run_id and w.step_path = s.path
    where s.run_id = ${runId} and s.status = 'waiting' order by s.path, w.opened_at desc, w.id desc`;
}

/** The open waits of a window's items. From here on their ends are told to that window. */
export async function takeOverWaits(
  sql: TransactionSql,
  runId: string,
  window: { step: number; from: number; to: number; toldTo: string },
): Promise<(OpenWait & { item: number })[]> {
  const { step, from, to, toldTo } = window;
  await sql`
    update kos.waits w set told_to = ${toldTo} from kos.steps s
    where s.run_id = ${runId} and s.step = ${step} and s.item between ${from} and ${to} and s.status = 'waiting' and w.run_id = s.run_id and w.step_path = s.path`;
  return await sql<(OpenWait & { item: number })[]>`
    select distinct on (s.item) s.item, w.id as "waitId", ${endsInMs(sql)}
    from kos.steps s join kos.waits w on w.run_id = s.run_id and w.step_path = s.path
    where s.run_id = ${runId} and s.step = ${step} and s.item between ${from} and ${to} and s.status = 'waiting' order by s.item, w.opened_at desc, w.id desc`;
}

export type WaitKind = 'timer' | 'approval' | 'signal' | 'run' | 'check';

/** A deadline: so many milliseconds from now by the database's clock, an instant, or none. */
export type Deadline = { inMs: number } | { at: Date } | null;

export async function openWaitRow(
  sql: TransactionSql,
  claim: Claim,
  stepPath: string,
  kind: WaitKind,
  deadline: Deadline,
  more: { signalName?: string; childRunId?: string; toldTo: string | null },
): Promise<OpenWait & { expiresAt: Date | null }> {
  const expiresAt =
    deadline === null
      ? sql`null::timestamptz`
      : 'at' in deadline
        ? sql`${deadline.at}::timestamptz`
        : sql`clock_timestamp() + make_interval(secs => ${deadline.inMs / 1000})`;
  const waitId = newId('wait');
  const [row] = await sql<{ expiresAt: Date | null; endsInMs: number | null }[]>`
    insert into kos.waits (id, workspace_id, run_id, step_path, kind, expires_at, signal_name, child_run_id, told_to)
    values (${waitId}, ${claim.workspaceId}, ${claim.runId}, ${stepPath}, ${kind}, ${expiresAt}, ${more.signalName ?? null}, ${more.childRunId ?? null}, ${more.toldTo})
    returning expires_at as "expiresAt", (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as "endsInMs"`;
  return { waitId, expiresAt: row?.expiresAt ?? null, endsInMs: row?.endsInMs ?? null };
}

/** The step's row while it waits. */
export async function markStepWaiting(sql: TransactionSql, claim: Claim, place: StepPlace, waitingFor: WaitingFor): Promise<void> {
  await sql`
    insert into kos.steps as s (workspace_id, run_id, path, step, item, iteration, kind, status, attempt, fence, started_at, waiting_for)
    values (${claim.workspaceId}, ${claim.runId}, ${place.path}, ${place.step}, ${place.item}, ${place.iteration ?? null}, ${place.kind}, 'waiting', 1, 1, clock_timestamp(), ${sql.json(waitingFor)})
    on conflict (run_id, path) do update set status = 'waiting', waiting_for = excluded.waiting_for, attempt = greatest(s.attempt, 1), fence = s.fence + 1`;
  // Of an approval its own event tells.
  if (place.kind === 'approval') return;
  const { workspaceId, runId } = claim;
  await recordEvents(sql, [{ workspaceId, runId, type: 'step.waiting', data: { stepPath: place.path, kind: place.kind, waitingFor } }]);
}

export interface WaitRow {
  kind: WaitKind;
  status: 'open' | 'settled' | 'expired' | 'voided';
  stepPath: string;
  due: boolean;
  expiresAt: Date | null;
  endsInMs: number | null;
}

/** Locks the wait: the database's clock says whether it is due. */
export async function lockWait(sql: TransactionSql, waitId: string): Promise<WaitRow | null> {
  const [row] = await sql<WaitRow[]>`
    select kind, status, step_path as "stepPath", expires_at is not null and expires_at <= clock_timestamp() as due,
      expires_at as "expiresAt", ${endsInMs(sql)}
    from kos.waits w where id = ${waitId} for update`;
  return row ?? null;
}

/** Before the rows of their steps and of the run, as whoever looks at a wait takes them. */
export async function lockOpenWaits(sql: TransactionSql, runId: string, stepPaths: string[]): Promise<void> {
  await sql`select from kos.waits where run_id = ${runId} and step_path in ${sql(stepPaths)} and status = 'open' order by id for update`;
}

/** Asked again after what was due has been done. */
export async function readAlarm(sql: TransactionSql, waitId: string): Promise<OpenWait> {
  const [row] = await sql<OpenWait[]>`select w.id as "waitId", ${endsInMs(sql)} from kos.waits w where w.id = ${waitId}`;
  return row ?? { waitId, endsInMs: null };
}

/** What it was settled by goes on after all. */
export async function reopenWait(sql: TransactionSql, waitId: string): Promise<void> {
  await sql`update kos.waits set status = 'open', version = version + 1, closed_at = null where id = ${waitId} and status = 'settled'`;
}

export async function closeWait(sql: TransactionSql, waitId: string, status: 'settled' | 'expired'): Promise<void> {
  await sql`update kos.waits set status = ${status}, version = version + 1, closed_at = clock_timestamp() where id = ${waitId} and status = 'open'`;
}

/** (Of a step with rounds its own row tells what it waits for, and the round what came of it.) What the run waits for, when it does nothing else: the first open wait, those that people must end before others. Null: something works, or nothing waits. */
export async function describeOpenWaits(sql: TransactionSql, runId: string): Promise<WaitingFor | null> {
  const [row] = await sql<{ path: string; status: StepStatus; waitingFor: WaitingFor | null; error: OutcomeError | null; others: number }[]>`
    select path, status, waiting_for as "waitingFor", error, (count(*) over ())::int - 1 as others from kos.steps
    where run_id = ${runId} and ((status in ('waiting', 'retrying') and waiting_for is not null and iteration is null)
        or (status = 'uncertain' and not metadata ? 'rounds'))
      and not exists (select from kos.steps where run_id = ${runId} and status = 'running' and not (item is null and metadata ? 'items'))
    order by (status = 'uncertain' or waiting_for->>'kind' = 'approval') desc, item nulls last, started_at limit 1`;
  if (row === undefined) return null;
  const waitingFor = row.status === 'uncertain' ? waitForResolution(runId, row.path, row.error) : row.waitingFor;
  if (waitingFor === null || row.others === 0) return waitingFor;
  return { ...waitingFor, text: `${waitingFor.text} ${row.others} more ${row.others === 1 ? 'wait is' : 'waits are'} open.` };
}

/** A person is to decide, as with an approval, but nothing is asked of anybody in particular: so there is no reference. */
export const waitForResolution = (runId: string, path: string, error: OutcomeError | null): WaitingFor => ({
  kind: 'approval',
  ref: null,
  until: null,
  text: `${path} is uncertain: ${error?.message ?? 'its effect may have happened.'} Say what came of it: kai run resolve ${runId} '${path}' happened|did-not --reason R`,
});
