import type { SystemDatabase, Transaction, TransactionSql, Sql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';

/** Since when no new run of a workspace starts, by whom, and why. */
export interface StartsHold {
  since: Date;
  /** Principal id. */
  by: string;
  reason: string;
}

export interface HeldRun {
  runId: string;
  plan: string;
  createdAt: Date;
}

export interface Starts {
  /** Null: runs start as they come. */
  hold: StartsHold | null;
  /** Runs that are ready to start and held back. */
  waiting: number;
  /** The first of them, in the order in which they will start. */
  next: HeldRun[];
}

interface Change {
  workspaceId: string;
  actor: string;
}

const shownAtMost = 20;
/** Runs that are told in one round that they are held. */
const toldAtMost = 500;

/**
 * Of an order `o` in kos.outbox: it is to start a run, and its workspace holds starts. What goes on (a resume, a retry) and what the steps of a run under way
 * start is not held: running work is let finish.
 */
export const isHeldBack = (sql: Sql | TransactionSql) => sql`(o.kind = 'start' and o.payload->>'resume' is distinct from 'true'
  and exists (select from kos.workspaces w where w.workspace_id = o.workspace_id and w.starts_held_at is not null)
  and not exists (select from kos.runs s where s.id = o.run_id and s.parent_run_id is not null))`;

/** New runs are accepted and wait; those that run go on. Holding what is held changes nothing: the first reason stays. */
export async function holdStarts({ sql }: Transaction, { workspaceId, actor }: Change, reason: string): Promise<void> {
  const held = await sql`
    update kos.workspaces set starts_held_at = clock_timestamp(), starts_held_by = ${actor}, starts_held_reason = ${reason}
    where workspace_id = ${workspaceId} and starts_held_at is null returning workspace_id`;
  if (held.length === 0) return;
  await recordEvents(sql, [{ workspaceId, runId: null, type: 'starts.held', data: { by: actor, reason } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'starts.hold', subject: workspaceId, data: { reason } }]);
}

/** The orders to start lie in the outbox in the order in which they came, and go out in it. */
export async function releaseStarts(transaction: Transaction, { workspaceId, actor }: Change): Promise<void> {
  const { sql } = transaction;
  const { waiting } = await readStarts(transaction);
  const released = await sql`
    update kos.workspaces set starts_held_at = null, starts_held_by = null, starts_held_reason = null
    where workspace_id = ${workspaceId} and starts_held_at is not null returning workspace_id`;
  if (released.length === 0) return;
  await sql`update kos.runs set waiting_for = null where status = 'queued' and waiting_for->>'kind' = 'paused'`;
  await recordEvents(sql, [{ workspaceId, runId: null, type: 'starts.released', data: { by: actor, waiting } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'starts.release', subject: workspaceId, data: { waiting } }]);
}

export async function readStarts({ sql }: Transaction): Promise<Starts> {
  const [row] = await sql<{ since: Date | null; by: string | null; reason: string | null }[]>`
    select starts_held_at as since, starts_held_by as by, starts_held_reason as reason from kos.workspaces`;
  const { since = null, by = null, reason = null } = row ?? {};
  if (since === null) return { hold: null, waiting: 0, next: [] };
  const due = sql`from kos.outbox o join kos.runs r on r.id = o.run_id where o.next_attempt_at <= clock_timestamp() and r.status = 'queued' and ${isHeldBack(sql)}`;
  const [[count], next] = await Promise.all([
    sql<{ waiting: number }[]>`select count(*)::int as waiting ${due}`,
    sql<HeldRun[]>`select r.id as "runId", r.plan_name as plan, r.created_at as "createdAt" ${due} order by o.id limit ${shownAtMost}`,
  ]);
  return { hold: { since, by: by ?? 'kos', reason: reason ?? '' }, waiting: count?.waiting ?? 0, next: [...next] };
}

/** A held run says on its row who holds it and why. */
export async function tellHeldRuns({ sql }: SystemDatabase): Promise<void> {
  await sql`
    update kos.runs r set waiting_for = told.waiting_for
    from (
      select o.run_id, jsonb_build_object('kind', 'paused', 'ref', null, 'until', null,
        'text', 'No new run of the workspace starts: held by ' || coalesce(p.name, h.starts_held_by) || ': ' || h.starts_held_reason) as waiting_for
      from kos.workspaces h
      join kos.outbox o on o.workspace_id = h.workspace_id
      left join kos.principals p on p.id = h.starts_held_by
      where h.starts_held_at is not null and o.next_attempt_at <= clock_timestamp() and ${isHeldBack(sql)}
        and exists (select from kos.runs q where q.id = o.run_id and q.status = 'queued' and q.waiting_for->>'kind' is distinct from 'paused')
      order by o.id limit ${toldAtMost}
    ) told
    where r.id = told.run_id and r.status = 'queued'`;
}
