import type { Claim } from '#core/engine/claim.ts';
import type { ItemRange } from '#core/engine/outcome.ts';
import type { Json } from '#schemas/json.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';

export const itemsAtMost = 100_000;

/** Writes one pending row per item, all at once; a repeat changes nothing. */
export async function insertItems(sql: TransactionSql, claim: Claim, place: { path: string; step: number; kind: string }, items: Json[]): Promise<void> {
  await sql`
    insert into kos.steps (workspace_id, run_id, path, step, item, kind, status, input)
    select ${claim.workspaceId}, ${claim.runId}, ${place.path}::text || '[' || (position - 1) || ']', ${place.step}::int, (position - 1)::int, ${place.kind}::text, 'pending', value
    from json_array_elements(${jsonParameter(sql, items)}) with ordinality as list(value, position)
    on conflict (run_id, path) do nothing`;
}

/** It goes on by itself at an instant: with another attempt, or with the next round. */
export const isPaused = (sql: TransactionSql) => sql`(status = 'retrying' or (status = 'waiting' and retry_at is not null))`;

/** Items that have not ended, as inclusive ranges; those that wait (for another attempt, or for what their step waits for) only with `waitingToo`. */
export async function unfinishedItems(sql: TransactionSql, runId: string, step: number, from: number, to: number, waitingToo: boolean): Promise<ItemRange[]> {
  const statuses = waitingToo ? ['pending', 'running', 'retrying', 'waiting'] : ['pending', 'running'];
  // Consecutive numbers share the difference between number and rank: one group per range.
  const rows = await sql<{ from: number; to: number }[]>`
    select min(item)::int as "from", max(item)::int as "to" from (
      select item, item - row_number() over (order by item) as island from kos.steps
      where run_id = ${runId} and step = ${step} and item between ${from} and ${to} and iteration is null and undoes is null and status in ${sql(statuses)}
    ) as open group by island order by 1`;
  return rows.map((row) => [row.from, row.to]);
}

export async function retryingItems(sql: TransactionSql, runId: string, step: number, from: number, to: number): Promise<{ item: number; inMs: number }[]> {
  return await sql<{ item: number; inMs: number }[]>`
    select item, coalesce(extract(epoch from retry_at - clock_timestamp()) * 1000, 0)::float8 as "inMs" from kos.steps
    where run_id = ${runId} and step = ${step} and item between ${from} and ${to} and iteration is null and undoes is null and ${isPaused(sql)} order by item`;
}

export interface ItemCounts {
  count: number;
  succeeded: number;
  failed: number;
  /** Of the failed: those that are tolerated. */
  tolerated: number;
  uncertain: number;
  skipped: number;
  /** Cut off by a cancel. */
  cancelled: number;
  unfinished: number;
}

export async function countItems(sql: TransactionSql, runId: string, step: number): Promise<ItemCounts> {
  const [row] = await sql<ItemCounts[]>`
    select count(*)::int as count, count(*) filter (where status = 'succeeded')::int as succeeded, count(*) filter (where status = 'failed')::int as failed,
      count(*) filter (where status = 'failed' and metadata->>'tolerated' = 'true')::int as tolerated, count(*) filter (where status = 'uncertain')::int as uncertain, count(*) filter (where status = 'skipped')::int as skipped,
      count(*) filter (where status = 'cancelled')::int as cancelled,
      count(*) filter (where status in ('pending', 'running', 'retrying', 'waiting'))::int as unfinished
    from kos.steps where run_id = ${runId} and step = ${step} and item is not null and iteration is null and undoes is null`;
  return row ?? { count: 0, succeeded: 0, failed: 0, tolerated: 0, uncertain: 0, skipped: 0, cancelled: 0, unfinished: 0 };
}

/** Takes one more of the failures of its items that a step tolerates; answers how many that makes. Its row is locked until the transaction's end. */
export async function countToleratedItem(sql: TransactionSql, runId: string, path: string): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    update kos.steps set metadata = metadata || jsonb_build_object('toleratedItems', coalesce((metadata->>'toleratedItems')::int, 0) + 1)
    where run_id = ${runId} and path = ${path} returning (metadata->>'toleratedItems')::int as count`;
  if (row === undefined) throw new Error(`The step ${path} of ${runId} has an item and no row.`);
  return row.count;
}

/** The joined output in item order; null where an item failed and that is tolerated. */
export async function joinedOutput(sql: TransactionSql, runId: string, step: number): Promise<Json[]> {
  const rows = await sql<{ output: Json }[]>`
    select coalesce(o.value, s.output) as output from kos.steps s left join kos.outputs o on o.id = s.output_id
    where s.run_id = ${runId} and s.step = ${step} and s.item is not null and s.iteration is null and s.undoes is null order by s.item`;
  return rows.map((row) => row.output);
}

export interface FailedItem {
  path: string;
  code: string;
  message: string;
  fix: string | null;
}

/** Items that failed, those that nobody tolerates first, then in the order in which they did. */
export async function failedItems(sql: TransactionSql, runId: string, step: number, limit: number): Promise<FailedItem[]> {
  return await sql<FailedItem[]>`
    select path, error->>'code' as code, error->>'message' as message, error->>'fix' as fix from kos.steps
    where run_id = ${runId} and step = ${step} and item is not null and iteration is null and undoes is null and status in ('failed', 'uncertain')
    order by metadata->>'tolerated' = 'true' nulls first, finished_at, item limit ${limit}`;
}
