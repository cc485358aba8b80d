import type { Sql, SystemDatabase, Transaction, TransactionSql } from '#services/database/connect.ts';
import { isHeldBack } from './held-starts.ts';

/** Where Temporal does not share out fairly and the workspace has set no bound: enough to keep two cores busy, few enough that another one's turn comes soon. */
export const boundWithoutFairness = 100;

/** Runs of one workspace that may be at work at once where it has set nothing; null: as many as come. */
export type UsualBound = number | null;

export interface Admission {
  /** Null: as many as come. */
  runsAtOnce: number | null;
  /** `no_fairness`: Temporal does not share out fairly between workspaces, or has not shown yet that it does. */
  because: 'setting' | 'no_fairness' | null;
  atWork: number;
  /** Runs that wait for room. */
  waiting: number;
}

/** Starts that are told in one round why they wait. */
const toldAtMost = 500;

type AnySql = Sql | TransactionSql;

/** It takes part of what workers there are. One that waits for a person or a time does not, nor one that lies in the outbox. */
const isAtWork = (sql: AnySql, run: ReturnType<AnySql>) => sql`(${run}.status = 'running' or (${run}.status = 'queued' and ${run}.waiting_for is null
  and not exists (select from kos.outbox x where x.run_id = ${run}.id and x.kind = 'start')))`;

/** Of a queued run `r` whose order to start lies in the outbox: its row says that as many as may are at work. (A run that waits for a slot of its plan has no such order.) */
export const isToldToWait = (sql: AnySql) => sql`(r.waiting_for->>'kind' = 'concurrency' and r.waiting_for->>'ref' is null)`;

/** Of a run `r` that a schedule brings, which is started by its own workflow: there is no room for it. */
export const waitsForRoom = (sql: TransactionSql) => sql`(r.status = 'queued' and (${isToldToWait(sql)}
  or exists (select from kos.settings s where (s.value->>'runsAtOnce')::int <= (select count(*) from kos.runs w where w.id <> r.id and ${isAtWork(sql, sql`w`)}))))`;

/** The run's turn has come. */
export const forgetWaiting = (sql: Sql, runId: string) =>
  sql`update kos.runs r set waiting_for = null where id = ${runId} and status = 'queued' and ${isToldToWait(sql)}`;

const boundOf = (sql: AnySql, usual: UsualBound) => sql`coalesce((s.value->>'runsAtOnce')::int, ${usual}::int)`;

/**
 * Ids of the orders in kos.outbox that are beyond what their workspace may have at work: the most urgent are let in first, then the oldest. As with held
 * starts, running work is let go on: resumes, retries, and what the steps of a run start (a run that waits for its sub-run would wait for ever). Two
 * processes that look at the same moment may let in a batch more.
 */
export const beyondBound = (sql: AnySql, usual: UsualBound) => sql`(
  select id from (
    select o.id, b.room, row_number() over (partition by o.workspace_id order by r.priority, o.id) as place
    from (
      select w.workspace_id, ${boundOf(sql, usual)} - (select count(*) from kos.runs r where r.workspace_id = w.workspace_id and ${isAtWork(sql, sql`r`)}) as room
      from kos.workspaces w left join kos.settings s on s.workspace_id = w.workspace_id where ${boundOf(sql, usual)} is not null
    ) b
    join kos.outbox o on o.workspace_id = b.workspace_id
    join kos.runs r on r.id = o.run_id
    where o.kind = 'start' and o.next_attempt_at <= clock_timestamp() and o.payload->>'resume' is distinct from 'true' and r.parent_run_id is null
      and not ${isHeldBack(sql)}
  ) due where place > room)`;

/** A run that waits for its turn says so on its row, and so does one whose turn it is no longer. */
export async function tellBeyondBound({ sql }: SystemDatabase, usual: UsualBound): Promise<void> {
  await sql`
    update kos.runs r set waiting_for = jsonb_build_object('kind', 'concurrency', 'ref', null, 'until', null, 'text', ${textOf(sql, usual)})
    from kos.workspaces w left join kos.settings s on s.workspace_id = w.workspace_id
    where w.workspace_id = r.workspace_id and r.status = 'queued' and r.waiting_for is null
      and r.id in (select o.run_id from kos.outbox o where o.id in ${beyondBound(sql, usual)} order by o.id limit ${toldAtMost})`;
}

const textOf = (sql: AnySql, usual: UsualBound) => sql`
  'As many runs of the workspace are at work as may be at once: ' || ${boundOf(sql, usual)}
  || case when s.value->>'runsAtOnce' is null then ', because Temporal does not share out fairly between workspaces.' else ' (the setting runsAtOnce).' end`;

export async function readAdmission({ sql }: Transaction, usual: UsualBound): Promise<Admission> {
  const [row] = await sql<{ setting: number | null; atWork: number; waiting: number }[]>`
    select (select (value->>'runsAtOnce')::int from kos.settings) as setting, (select count(*)::int from kos.runs r where ${isAtWork(sql, sql`r`)}) as "atWork",
      (select count(*)::int from kos.runs r join kos.outbox o on o.run_id = r.id and o.kind = 'start' where r.status = 'queued' and ${isToldToWait(sql)}) as waiting`;
  const { setting = null, atWork = 0, waiting = 0 } = row ?? {};
  if (setting !== null) return { runsAtOnce: setting, because: 'setting', atWork, waiting };
  return { runsAtOnce: usual, because: usual === null ? null : 'no_fairness', atWork, waiting };
}
