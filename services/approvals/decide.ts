import { approvalDigest, type Covered } from '#core/approval/digest.ts';
import { peopleWhoApproved, statusOf } from '#core/approval/tally.ts';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Approval, ApprovalArgument, ApprovalDecision, DecideApproval } from '#schemas/approval.ts';
import type { Json } from '#schemas/json.ts';
import { jsonParameter, type Transaction, type TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { type EditChecks, editedArguments, nothingInstalled } from './edit.ts';
import { assertMayDecide, assertNotClaimedByOthers, assertOpen, closedMeanwhile, lockApproval } from './eligible.ts';
import { readApproval } from './read.ts';

/**
 * Decides an approval in the caller's transaction: the rows, the record, the event and what Temporal is to be told stand together or not at all.
 * Of many decisions at once one wins. Throws KosError `approval_not_found` (404), `approver_role_missing`, `four_eyes` (403), `approval_expired`,
 * `approval_decided`, `approval_voided`, `approval_claimed`, `approval_given`, `approval_tampered` (409), `arguments_changed` (412, with the current
 * arguments), `arguments_invalid` (422).
 */
export async function decideApproval(
  transaction: Transaction,
  principal: Principal,
  approvalId: string,
  request: DecideApproval,
  checks: EditChecks = nothingInstalled,
): Promise<Approval> {
  const locked = await lockApproval(transaction, approvalId);
  const { approval, waitId } = locked;
  assertMayDecide(locked, principal);
  assertOpen(approval);
  if (approval.argumentsDigest !== request.argumentsDigest) throw argumentsChanged(approval);
  if (request.decision === 'approve') assertNotClaimedByOthers(approval, principal);
  const covers = await readCovered(transaction, approval);
  const edited = request.arguments === undefined ? null : await editedArguments(checks, approval, covers, request.arguments);
  const argumentsDigest = edited?.digest ?? approval.argumentsDigest;
  if (request.decision === 'approve') assertNotGivenBefore({ ...approval, argumentsDigest }, principal);

  const decision = decisionOf(principal, request, argumentsDigest, edited !== null);
  if (edited !== null) await replaceArguments(transaction.sql, principal, approval, edited);
  const standing = { required: approval.required, argumentsDigest, decisions: [...approval.decisions, decision] };
  const status = statusOf(standing);
  await appendDecision(transaction.sql, approval, decision, status);
  if (status !== 'open') await settle(transaction.sql, principal.workspaceId, approval, waitId);
  await recordDecision(transaction.sql, principal, approval, { ...decision, status, approvedBy: peopleWhoApproved(standing).size });
  return readApproval(transaction, approvalId);
}

type NewDecision = Omit<ApprovalDecision, 'at'>;

const decisionOf = ({ principalId, responsible }: Principal, request: DecideApproval, argumentsDigest: string, edited: boolean): NewDecision => ({
  by: principalId,
  responsible,
  decision: request.decision,
  reason: request.reason ?? null,
  argumentsDigest,
  ...(edited ? { edited: true as const } : {}),
});

/**
 * What its digest covers; null: an earlier release asked for it and did not say. Throws `approval_tampered` when what it shows is not what the digest
 * was made of: then somebody changed the row, and nothing can be decided on it.
 */
async function readCovered({ sql }: Transaction, approval: Approval): Promise<Covered | null> {
  const [row] = await sql<{ covers: Covered | null }[]>`select covers from kos.approvals where id = ${approval.id}`;
  const covers = row?.covers ?? null;
  if (covers !== null && approvalDigest(covers, approval.message, approval.arguments) !== approval.argumentsDigest) throw tampered(approval);
  return covers;
}

/** The claim ends with the decision: the next person may look at it. */
async function appendDecision(sql: TransactionSql, approval: Approval, decision: NewDecision, status: Approval['status']): Promise<void> {
  await sql`
    update kos.approvals set status = ${status}, decided_at = ${status === 'open' ? sql`null` : sql`clock_timestamp()`}, claimed_by = null, claimed_until = null,
      decisions = decisions || jsonb_build_array(${sql.json(decision)} || jsonb_build_object('at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
    where id = ${approval.id}`;
}

async function settle(sql: TransactionSql, workspaceId: string, approval: Approval, waitId: string): Promise<void> {
  const [wait] = await sql<{ version: number }[]>`
    update kos.waits set status = 'settled', version = version + 1, closed_at = clock_timestamp() where id = ${waitId} and status = 'open' returning version`;
  if (wait === undefined) throw closedMeanwhile(approval);
  await sql`
    insert into kos.outbox (workspace_id, run_id, kind, payload)
    values (${workspaceId}, ${approval.runId}, 'decision', ${sql.json({ waitId, version: wait.version })})`;
}

async function replaceArguments(
  sql: TransactionSql,
  { workspaceId, principalId }: Principal,
  approval: Approval,
  edited: { arguments: ApprovalArgument[]; digest: string },
): Promise<void> {
  await sql`
    update kos.approvals set arguments = ${jsonParameter(sql, edited.arguments as unknown as Json)}, arguments_digest = ${edited.digest} where id = ${approval.id}`;
  const facts = { approvalId: approval.id, stepPath: approval.stepPath, before: approval.argumentsDigest, after: edited.digest };
  await recordEvents(sql, [{ workspaceId, runId: approval.runId, type: 'approval.edited', data: { ...facts, by: principalId } }]);
  await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'approval.edit', subject: approval.id, data: { ...facts, runId: approval.runId } }]);
}

async function recordDecision(
  sql: TransactionSql,
  { workspaceId, principalId }: Principal,
  approval: Approval,
  made: NewDecision & { status: Approval['status']; approvedBy: number },
): Promise<void> {
  const { decision, status, approvedBy, argumentsDigest = approval.argumentsDigest, reason } = made;
  const facts = { approvalId: approval.id, stepPath: approval.stepPath, decision, status, approvedBy, required: approval.required };
  await recordEvents(sql, [{ workspaceId, runId: approval.runId, type: 'approval.decided', data: { ...facts, by: principalId } }]);
  const data = { ...facts, runId: approval.runId, argumentsDigest, reason };
  await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'approval.decide', subject: approval.id, data }]);
}

function assertNotGivenBefore(approval: Approval, principal: Principal): void {
  if (!peopleWhoApproved(approval).has(principal.responsible)) return;
  throw new KosError({
    code: 'approval_given',
    message: `You have approved ${approval.id} already: it needs ${approval.required} different people, and a person counts once, with all keys and agents that person answers for.`,
    fix: `Ask another person of ${approval.from} to decide.`,
    status: 409,
    extra: { approvedBy: approval.approvedBy, required: approval.required },
  });
}

const argumentsChanged = (approval: Approval): KosError =>
  new KosError({
    code: 'arguments_changed',
    message: `The arguments of the approval ${approval.id} are not those you were shown.`,
    fix: 'Read the current ones, then decide with their argumentsDigest.',
    status: 412,
    extra: { arguments: approval.arguments, argumentsDigest: approval.argumentsDigest },
  });

const tampered = (approval: Approval): KosError =>
  new KosError({
    code: 'approval_tampered',
    message: `What the approval ${approval.id} shows is not what its digest was made of: its row was changed by other means than kOS.`,
    fix: `Cancel the run, find out who changed it, and start it again: kai run cancel ${approval.runId}`,
    status: 409,
  });
