import { KosError } from '#core/errors.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Ending, FailureHandling, Origin, OutcomeError, Run, RunStatus, WaitingFor } from '#schemas/run.ts';
import type { Database, Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeNewestFirst, newestFirstKey, type Page, pageBytes, pageOf, type Sized } from '#services/paging/page.ts';

interface RunRow {
  id: string;
  plan_name: string;
  plan_version: number;
  plan_digest: string;
  status: RunStatus;
  waiting_for: WaitingFor | null;
  input: JsonObject;
  output: Json;
  error: OutcomeError | null;
  on_failure: FailureHandling | null;
  labels: Record<string, string>;
  started_by: string;
  responsible: string;
  origin: Origin;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  cost_micros: number;
  currency: string;
  parent_run_id: string | null;
  called_from: string | null;
  pinned: boolean;
  cancel_requested_at: Date | null;
  use_cache: boolean;
  priority: number;
  start_at: Date | null;
  deadline_at: Date | null;
  deadline_asked_at: Date | null;
  ending: Ending | null;
}

const columns = (sql: TransactionSql) => sql`
  id, plan_name, plan_version, plan_digest, status, waiting_for, input, output, error, on_failure, labels, started_by, responsible, origin, created_at, started_at,
  finished_at, cost_micros, currency, parent_run_id, called_from, pinned, cancel_requested_at, use_cache, priority, start_at, deadline_at, deadline_asked_at, ending`;

const showRun = (row: RunRow): Run => ({
  id: row.id,
  plan: { name: row.plan_name, version: row.plan_version, digest: row.plan_digest },
  status: row.status,
  waitingFor: row.waiting_for,
  input: row.input,
  output: row.output,
  error: row.error,
  onFailure: row.on_failure,
  labels: row.labels,
  startedBy: row.started_by,
  responsible: row.responsible,
  origin: row.origin,
  createdAt: row.created_at.toISOString(),
  startedAt: row.started_at?.toISOString() ?? null,
  finishedAt: row.finished_at?.toISOString() ?? null,
  costMicros: row.cost_micros,
  currency: row.currency,
  parentRunId: row.parent_run_id,
  calledFrom: row.called_from,
  pinned: row.pinned,
  cancelRequestedAt: row.cancel_requested_at?.toISOString() ?? null,
  cache: row.use_cache,
  priority: row.priority,
  startAt: row.start_at?.toISOString() ?? null,
  deadlineAt: row.deadline_at?.toISOString() ?? null,
  deadlineAskedAt: row.deadline_asked_at?.toISOString() ?? null,
  ending: row.ending,
});

const selectRun = (sql: TransactionSql, runId: string) => sql<RunRow[]>`select ${columns(sql)} from kos.runs where id = ${runId}`;

function theRun([row]: readonly RunRow[], runId: string): Run {
  if (row === undefined) throw runNotFound(runId);
  return showRun(row);
}

/** Throws KosError `run_not_found`, for another workspace's run too. */
export const readRun = async ({ sql }: Transaction, runId: string): Promise<Run> => theRun(await selectRun(sql, runId), runId);

/** In a transaction of its own, in one round trip. Throws as `readRun` does. */
export const fetchRun = (database: Database, workspaceId: string, runId: string): Promise<Run> =>
  database.inWorkspace(workspaceId, async ({ sql, commit }) => {
    const asked = selectRun(sql, runId).execute();
    commit();
    return theRun(await asked, runId);
  });

export const runNotFound = (runId: string): KosError =>
  new KosError({ code: 'run_not_found', message: `There is no run ${runId} in this workspace.`, fix: 'kai run list', status: 404 });

export interface RunFilter {
  /** Any of these; null: all. */
  statuses: RunStatus[] | null;
  plan: string | null;
  /** Those that this run's steps have started, or (`none`) those that no step has; null: all. */
  parent: string | null;
  /** All of these. */
  labels: Record<string, string>;
  cursor: string | null;
  limit: number;
}

type ListedRow = RunRow & Sized;

function selectRuns(sql: TransactionSql, filter: RunFilter) {
  const before = filter.cursor === null ? null : decodeNewestFirst(filter.cursor);
  return sql<ListedRow[]>`
    with page as materialized (
      select ${columns(sql)} from kos.runs
      where ${filter.statuses === null ? sql`true` : sql`status in ${sql(filter.statuses)}`}
        and ${filter.plan === null ? sql`true` : sql`plan_name = ${filter.plan}`}
        and ${filter.parent === null ? sql`true` : filter.parent === 'none' ? sql`parent_run_id is null` : sql`parent_run_id = ${filter.parent}`}
        and ${Object.keys(filter.labels).length === 0 ? sql`true` : sql`labels @> ${sql.json(filter.labels)}`}
        and ${before === null ? sql`true` : sql`(created_at, id) < (${before.createdAt}, ${before.id})`}
      order by created_at desc, id desc limit ${filter.limit + 1}
    ), sized as (
      select id, count(*) over ()::int as found, coalesce(sum(pg_column_size(input) + coalesce(pg_column_size(output), 0)) over earlier, 0) as bytes_before
      from page window earlier as (order by created_at desc, id desc rows between unbounded preceding and 1 preceding)
    )
    select page.*, sized.found from page join sized using (id) where sized.bytes_before < ${pageBytes} order by created_at desc, id desc`;
}

const runsPage = (rows: readonly ListedRow[], limit: number): Page<Run> =>
  pageOf(rows, limit, showRun, (row) => newestFirstKey({ createdAt: row.created_at, id: row.id }), rows[0]?.found);

/** Newest first. A page may hold fewer than `limit` where inputs and outputs are large. */
export const listRuns = async ({ sql }: Transaction, filter: RunFilter): Promise<Page<Run>> => runsPage(await selectRuns(sql, filter), filter.limit);

/** As `listRuns`, in a transaction of its own, in one round trip. */
export const fetchRuns = (database: Database, workspaceId: string, filter: RunFilter): Promise<Page<Run>> =>
  database.inWorkspace(workspaceId, async ({ sql, commit }) => {
    const asked = selectRuns(sql, filter).execute();
    commit();
    return runsPage(await asked, filter.limit);
  });

/** How many runs there are in each status; statuses without runs are left out. */
export async function countRuns({ sql }: Transaction): Promise<Partial<Record<RunStatus, number>>> {
  const rows = await sql<{ status: RunStatus; count: number }[]>`select status, count(*)::int as count from kos.runs group by status`;
  return Object.fromEntries(rows.map((row) => [row.status, row.count]));
}
