import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { isApprovalNeeded } from '../ledger/approval-need.ts';
import type { WaitKind } from '../ledger/waits.ts';
import type { RunChange } from './locked-run.ts';

/** What ends by its clock, or by what comes from outside: a person may end it first. An approval has its own decision, a sub-run its own end. */
const withdrawable: readonly WaitKind[] = ['timer', 'check', 'signal'];

/**
 * Of a step that is being ended by hand: nothing is waited for any more, and its workflow is told. The wait's row must be locked already, before that of
 * the run. Null: it waits for nothing of that kind, or that has come.
 */
export async function withdrawWait(sql: TransactionSql, { workspaceId, runId, path }: RunChange & { path: string }): Promise<WaitKind | null> {
  const [wait] = await sql<{ id: string; version: number; kind: WaitKind }[]>`
    update kos.waits set status = 'voided', version = version + 1, closed_at = clock_timestamp()
    where run_id = ${runId} and step_path = ${path} and status = 'open' and kind in ${sql(withdrawable)} returning id, version, kind`;
  if (wait === undefined) return null;
  await orderSettling(sql, { workspaceId, runId }, wait);
  return wait.kind;
}

/** An approval step, by its place in the shape of its plan. */
export interface Gate {
  path: string;
  number: number;
  shape: PlanShape;
}

type EndedByHand = RunChange & { path: string; reason: string };

/**
 * Of an approval of which nothing is to run any more, since a step was ended by hand: nobody need decide it. It stays open where another step looks at its decision. The run's row
 * must be locked (whoever opens the approval does that, too), and before it the wait's.
 */
export async function withdrawNeedlessApproval(sql: TransactionSql, change: EndedByHand, gate: Gate): Promise<void> {
  const { workspaceId, runId, path, reason, actor } = change;
  if (await isApprovalNeeded(sql, runId, gate.shape, gate.number)) return;
  const [wait] = await sql<{ id: string; version: number }[]>`
    update kos.waits set status = 'voided', version = version + 1, closed_at = clock_timestamp()
    where run_id = ${runId} and step_path = ${gate.path} and status = 'open' and kind = 'approval' returning id, version`;
  if (wait === undefined) return;
  const [approval] = await sql<{ id: string }[]>`
    update kos.approvals set status = 'voided', decided_at = clock_timestamp(), claimed_by = null, claimed_until = null where wait_id = ${wait.id} returning id`;
  const why = `nothing that it covers is to run any more, since ${path} was ended by hand: ${reason}`;
  await sql`
    update kos.steps set status = 'skipped', fence = fence + 1, waiting_for = null, finished_at = clock_timestamp(), metadata = metadata || ${sql.json({ reason: why })}
    where run_id = ${runId} and path = ${gate.path}`;
  await orderSettling(sql, change, wait);
  const facts = { approvalId: approval?.id ?? null, stepPath: gate.path, reason: why };
  await recordEvents(sql, [
    { workspaceId, runId, type: 'approval.voided', data: { ...facts, by: actor } },
    { workspaceId, runId, type: 'step.skipped', data: { stepPath: gate.path, kind: 'approval', reason: why } },
  ]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'approval.void', subject: approval?.id ?? runId, data: { runId, ...facts } }]);
}

/** Its workflow, or the window that has the item, finds the step ended when it looks. */
async function orderSettling(
  sql: TransactionSql,
  { workspaceId, runId }: Pick<RunChange, 'workspaceId' | 'runId'>,
  { id, version }: { id: string; version: number },
): Promise<void> {
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'decision', ${sql.json({ waitId: id, version })})`;
}
