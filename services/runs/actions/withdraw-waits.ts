import type { TransactionSql } from '#services/database/connect.ts';
import type { WaitKind } from '../ledger/waits.ts';
import type { RunChange } from './locked-run.ts';

/** What ends by its clock, or by what comes from outside: a person may end it first. An approval has its own decision, a sub-run its own end. */
const withdrawable: readonly WaitKind[] = ['timer', 'check', 'signal'];

/**
 * Of a step that is being ended by hand: nothing is waited for any more, and its workflow is told. Before the step's row, as whoever looks at a wait takes
 * them. Null: it waits for nothing of that kind, or that has come.
 */
export async function withdrawWait(sql: TransactionSql, { workspaceId, runId, path }: RunChange & { path: string }): Promise<WaitKind | null> {
  const [wait] = await sql<{ id: string; version: number; kind: WaitKind }[]>`
    update kos.waits set status = 'voided', version = version + 1, closed_at = clock_timestamp()
    where run_id = ${runId} and step_path = ${path} and status = 'open' and kind in ${sql(withdrawable)} returning id, version, kind`;
  if (wait === undefined) return null;
  await orderSettling(sql, { workspaceId, runId }, wait);
  return wait.kind;
}

/** Its workflow, or the window that has the item, finds the step ended when it looks. */
async function orderSettling(
  sql: TransactionSql,
  { workspaceId, runId }: Pick<RunChange, 'workspaceId' | 'runId'>,
  { id, version }: { id: string; version: number },
): Promise<void> {
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'decision', ${sql.json({ waitId: id, version })})`;
}
