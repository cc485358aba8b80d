import { KosError } from '#core/errors.ts';
import { meetsFrom, type Principal } from '#core/policy/principal.ts';
import type { Approval, ApprovalDecision, DecideApproval } from '#schemas/approval.ts';
import type { Transaction } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { approvalNotFound, readApproval } from './read.ts';

/**
 * Decides an approval in the caller's transaction: the rows, the record, the event and what Temporal is to be told stand together or not at all.
 * Of many decisions at once one wins. Throws KosError `approval_not_found` (404), `approver_role_missing`, `four_eyes` (403), `approval_expired`,
 * `approval_decided`, `approval_voided` (409), `arguments_changed` (412, with the current arguments).
 */
export async function decideApproval(transaction: Transaction, principal: Principal, approvalId: string, request: DecideApproval): Promise<Approval> {
  const { sql } = transaction;
  const waitId = await lockWait(transaction, approvalId);
  const approval = await readApproval(transaction, approvalId);
  assertMayDecide(approval, principal, await responsibleFor(transaction, approval.runId));
  assertDecidable(approval);
  if (approval.argumentsDigest !== request.argumentsDigest) throw argumentsChanged(approval);

  const status = request.decision === 'approve' ? 'approved' : 'denied';
  const [wait] = await sql<{ version: number }[]>`
    update kos.waits set status = 'settled', version = version + 1, closed_at = clock_timestamp() where id = ${waitId} and status = 'open' returning version`;
  if (wait === undefined) throw closedMeanwhile(approval);
  const decision = { by: principal.principalId, decision: request.decision, reason: request.reason ?? null };
  await sql`
    update kos.approvals set status = ${status}, decided_at = clock_timestamp(),
      decisions = decisions || jsonb_build_array(${sql.json(decision satisfies Omit<ApprovalDecision, 'at'>)} || jsonb_build_object('at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
    where id = ${approvalId}`;
  await sql`
    insert into kos.outbox (workspace_id, run_id, kind, payload)
    values (${principal.workspaceId}, ${approval.runId}, 'decision', ${sql.json({ waitId, version: wait.version })})`;
  await recordDecision(transaction, principal, approval, decision);
  return readApproval(transaction, approvalId);
}

/** The wait's row is what every end of an approval competes for: a decision, its expiry, the run's cancellation. */
async function lockWait({ sql }: Transaction, approvalId: string): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    select w.id from kos.waits w join kos.approvals a on a.wait_id = w.id where a.id = ${approvalId} for update of w`;
  if (row === undefined) throw approvalNotFound(approvalId);
  return row.id;
}

async function responsibleFor({ sql }: Transaction, runId: string): Promise<string | null> {
  const [row] = await sql<{ responsible: string }[]>`select responsible from kos.runs where id = ${runId}`;
  return row?.responsible ?? null;
}

async function recordDecision(
  { sql }: Transaction,
  principal: Principal,
  approval: Approval,
  decision: { decision: string; reason: string | null },
): Promise<void> {
  const { workspaceId, principalId } = principal;
  const facts = { approvalId: approval.id, stepPath: approval.stepPath, decision: decision.decision };
  await recordEvents(sql, [{ workspaceId, runId: approval.runId, type: 'approval.decided', data: { ...facts, by: principalId } }]);
  const data = { ...facts, runId: approval.runId, argumentsDigest: approval.argumentsDigest, reason: decision.reason };
  await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'approval.decide', subject: approval.id, data }]);
}

function assertMayDecide(approval: Approval, principal: Principal, responsible: string | null): void {
  if (!meetsFrom(principal.roles, approval.from)) {
    throw new KosError({
      code: 'approver_role_missing',
      message: `This approval is asked from ${approval.from}; you hold ${principal.roles.map((role) => `role:${role}`).join(', ') || 'no role'}.`,
      fix: 'Ask somebody who holds that role to decide, or an admin of the workspace to give it to you.',
      status: 403,
    });
  }
  if (approval.fourEyes && responsible === principal.responsible) {
    throw new KosError({
      code: 'four_eyes',
      message: 'You answer for this run yourself, and its plan asks for the eyes of somebody else.',
      fix: `Ask another person who holds ${approval.from} to decide.`,
      status: 403,
    });
  }
}

function assertDecidable(approval: Approval): void {
  switch (approval.status) {
    case 'open':
      return;
    case 'expired':
      throw new KosError({
        code: 'approval_expired',
        message: `The approval ${approval.id} expired at ${approval.expiresAt ?? 'its deadline'}.`,
        status: 409,
        extra: { approvalStatus: approval.status },
      });
    case 'approved':
    case 'denied':
      throw new KosError({
        code: 'approval_decided',
        message: `The approval ${approval.id} was ${approval.status} already.`,
        status: 409,
        extra: { approvalStatus: approval.status },
      });
    case 'voided':
      throw closedMeanwhile(approval);
  }
}

const closedMeanwhile = (approval: Approval): KosError =>
  new KosError({
    code: 'approval_voided',
    message: `The approval ${approval.id} is no longer needed: its run went on or ended without it.`,
    status: 409,
    extra: { approvalStatus: 'voided' },
  });

const argumentsChanged = (approval: Approval): KosError =>
  new KosError({
    code: 'arguments_changed',
    message: `The arguments of the approval ${approval.id} are not those you were shown.`,
    fix: 'Read the current ones, then decide with their argumentsDigest.',
    status: 412,
    extra: { arguments: approval.arguments, argumentsDigest: approval.argumentsDigest },
  });
