import { isAsked } from '#core/approval/approvers.ts';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Approval } from '#schemas/approval.ts';
import type { Transaction } from '#services/database/connect.ts';
import { approvalNotFound, readApproval } from './read.ts';

export interface LockedApproval {
  approval: Approval;
  waitId: string;
  /** Who answers for the run. */
  responsible: string | null;
}

/** The wait's row is what every change of an approval competes for: decisions, its expiry, its escalation, the end of its run. Throws KosError `approval_not_found`. */
export async function lockApproval(transaction: Transaction, approvalId: string): Promise<LockedApproval> {
  const [row] = await transaction.sql<{ waitId: string; responsible: string | null }[]>`
    select w.id as "waitId", r.responsible from kos.approvals a join kos.waits w on w.id = a.wait_id left join kos.runs r on r.id = a.run_id
    where a.id = ${approvalId} for update of w`;
  if (row === undefined) throw approvalNotFound(approvalId);
  return { ...row, approval: await readApproval(transaction, approvalId) };
}

/** Throws KosError `approver_role_missing`, `four_eyes` (403). */
export function assertMayDecide({ approval, responsible }: LockedApproval, principal: Principal): void {
  if (!isAsked(principal, approval.approvers)) {
    throw new KosError({
      code: 'approver_role_missing',
      message: `This approval is asked from ${approval.from}; you are ${principal.name} (${principal.principalId}) and hold ${principal.roles.map((role) => `role:${role}`).join(', ') || 'no role'}.`,
      fix: 'Ask somebody who is named there, or holds that role, to decide; an admin of the workspace can give you the role.',
      status: 403,
    });
  }
  if (approval.fourEyes && responsible === principal.responsible) {
    throw new KosError({
      code: 'four_eyes',
      message: 'You answer for this run yourself, and its plan asks for the eyes of somebody else.',
      fix: `Ask another person of ${approval.from} to decide.`,
      status: 403,
    });
  }
}

/** Throws KosError `approval_expired`, `approval_decided`, `approval_voided` (409). */
export function assertOpen(approval: Approval): void {
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

export const closedMeanwhile = (approval: Approval): KosError =>
  new KosError({
    code: 'approval_voided',
    message: `The approval ${approval.id} is no longer needed: its run went on or ended without it.`,
    status: 409,
    extra: { approvalStatus: 'voided' },
  });

/** Throws KosError `approval_claimed` (409) while somebody else looks at it. */
export function assertNotClaimedByOthers({ claim, id }: Approval, principal: Principal): void {
  if (claim === null || claim.by === principal.principalId) return;
  throw new KosError({
    code: 'approval_claimed',
    message: `${claim.by} looks at the approval ${id} until ${claim.until}.`,
    fix: `Wait until then, ask for its release (an admin can: kai approval release ${id}), or deny it, which anybody who is asked may do at any time.`,
    status: 409,
    extra: { claim },
  });
}
