import type { Claim } from '#core/engine/claim.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { readPlanVersion } from '#services/plans/read.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';

/** A step that has found out before what one is about to. */
export interface KeptOutput {
  runId: string;
  stepPath: string;
  /** When it was kept. */
  at: Date;
  output: Json;
  /** A stored output, to be referred to; null: it stands in `output`. Locked until the transaction's end, so that it is not removed meanwhile. */
  outputId: string | null;
  metadata: JsonObject;
}

/** The output that was kept under this key within the last `ttlMs`; null: there is none. */
export async function findKept(sql: TransactionSql, key: string, ttlMs: number): Promise<KeptOutput | null> {
  const [row] = await sql<KeptOutput[]>`
    select e.run_id as "runId", e.step_path as "stepPath", e.created_at as at, s.output, s.output_id as "outputId", s.metadata
    from kos.cache_entries e join kos.steps s on s.run_id = e.run_id and s.path = e.step_path
    where e.key = ${key} and e.created_at > clock_timestamp() - make_interval(secs => ${ttlMs / 1000}) and e.expires_at > clock_timestamp() and s.status = 'succeeded'`;
  if (row === undefined) return null;
  if (row.outputId === null) return row;
  // Its run may be deleted at this moment.
  const locked = await sql`select 1 from kos.outputs where id = ${row.outputId} for key share`;
  return locked.length === 0 ? null : row;
}

export interface Keeping {
  key: string;
  planName: string;
  stepPath: string;
  ttlMs: number;
}

/** In the transaction that ends the step. What was kept before under the same key gives way: it is older. */
export async function keepOutput(sql: TransactionSql, { workspaceId, runId }: Claim, { key, planName, stepPath, ttlMs }: Keeping): Promise<void> {
  await sql`
    insert into kos.cache_entries (workspace_id, key, plan_name, run_id, step_path, expires_at)
    values (${workspaceId}, ${key}, ${planName}, ${runId}, ${stepPath}, clock_timestamp() + make_interval(secs => ${ttlMs / 1000}))
    on conflict (workspace_id, key) do update set plan_name = excluded.plan_name, run_id = excluded.run_id, step_path = excluded.step_path,
      created_at = excluded.created_at, expires_at = excluded.expires_at`;
}

/**
 * Forgets what was kept, of one plan's runs or of all: steps do their work again. Outputs stay with the runs that have them. Answers how many entries there
 * were. Throws KosError `plan_not_found`.
 */
export async function clearCache(transaction: Transaction, change: { workspaceId: string; actor: string; plan: string | null }): Promise<number> {
  const { workspaceId, actor, plan } = change;
  if (plan !== null) await readPlanVersion(transaction, plan, null);
  const { sql } = transaction;
  const removed = await sql`delete from kos.cache_entries where ${plan === null ? sql`true` : sql`plan_name = ${plan}`}`;
  const entries = removed.count;
  await recordAudit(sql, [{ workspaceId, actor, action: 'cache.clear', subject: plan ?? workspaceId, data: { plan, entries } }]);
  return entries;
}
