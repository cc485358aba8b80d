import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { rolesIncludedIn } from '#core/policy/permissions.ts';
import type { Approval } from '#schemas/approval.ts';
import type { Transaction } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { assertMayDecide, assertNotClaimedByOthers, assertOpen, lockApproval } from './eligible.ts';
import { readApproval } from './read.ts';

/**
 * Says that this person looks at it: until then nobody else can approve. Claiming again makes it last longer. Throws as deciding does, and KosError
 * `approval_claimed` (409).
 */
export async function claimApproval(transaction: Transaction, principal: Principal, approvalId: string, forMs: number): Promise<Approval> {
  const locked = await lockApproval(transaction, approvalId);
  assertMayDecide(locked, principal);
  assertOpen(locked.approval);
  assertNotClaimedByOthers(locked.approval, principal);
  await transaction.sql`
    update kos.approvals set claimed_by = ${principal.principalId}, claimed_until = clock_timestamp() + make_interval(secs => ${forMs / 1000}) where id = ${approvalId}`;
  const approval = await readApproval(transaction, approvalId);
  await record(transaction, principal, approval, 'claimed', { until: approval.claim?.until ?? null });
  return approval;
}

/** Ends a claim: one's own, or as an admin anybody's. Nothing changes where there is none. Throws KosError `approval_claimed` (409). */
export async function releaseApproval(transaction: Transaction, principal: Principal, approvalId: string): Promise<Approval> {
  const { approval } = await lockApproval(transaction, approvalId);
  assertOpen(approval);
  if (approval.claim === null) return approval;
  if (!rolesIncludedIn(principal.roles).has('admin')) assertNotClaimedByOthers(approval, principal);
  await transaction.sql`update kos.approvals set claimed_by = null, claimed_until = null where id = ${approvalId}`;
  await record(transaction, principal, approval, 'released', { claimedBy: approval.claim.by });
  return readApproval(transaction, approvalId);
}

const mostComments = 500;

/** Adds to the discussion; decides nothing. Also after the decision. Throws KosError `approval_not_found`, `discussion_full` (409). */
export async function commentApproval(transaction: Transaction, principal: Principal, approvalId: string, text: string): Promise<Approval> {
  const { approval } = await lockApproval(transaction, approvalId);
  if (approval.comments.length >= mostComments) {
    throw new KosError({
      code: 'discussion_full',
      message: `The approval ${approvalId} has ${mostComments} comments, as many as there may be.`,
      fix: 'Decide it.',
      status: 409,
    });
  }
  const { sql } = transaction;
  await sql`
    update kos.approvals set comments = comments || jsonb_build_array(${sql.json({ by: principal.principalId, text })} || jsonb_build_object('at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
    where id = ${approvalId}`;
  await record(transaction, principal, approval, 'commented', {});
  return readApproval(transaction, approvalId);
}

const auditActions = { claimed: 'approval.claim', released: 'approval.release', commented: 'approval.comment' } as const;

async function record(
  { sql }: Transaction,
  { workspaceId, principalId }: Principal,
  approval: Approval,
  what: keyof typeof auditActions,
  more: Record<string, string | null>,
): Promise<void> {
  const facts = { approvalId: approval.id, stepPath: approval.stepPath, ...more };
  await recordEvents(sql, [{ workspaceId, runId: approval.runId, type: `approval.${what}`, data: { ...facts, by: principalId } }]);
  await recordAudit(sql, [{ workspaceId, actor: principalId, action: auditActions[what], subject: approval.id, data: { ...facts, runId: approval.runId } }]);
}
