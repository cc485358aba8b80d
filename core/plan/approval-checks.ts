import { approverList, mostApprovers } from '#core/approval/approvers.ts';
import { type ApprovalStep, stepDefaults } from '#schemas/plan.ts';
import type { FaultList } from './fault-list.ts';

/** What the form of an approval cannot say by its schema: that somebody can give it, and that what it foretells can come. */
export function checkApproval(id: string, { approval }: ApprovalStep, faults: FaultList): void {
  const base = `/steps/${id}/approval`;
  if (approval.for === undefined && approval.message === undefined) {
    faults.add(base, 'an approval needs `for` or a `message`: otherwise nobody can tell what is to be decided');
  }
  const named = [approval.from ?? stepDefaults.approval.from, ...(approval.escalate ?? []).map(({ to }) => to ?? [])].flatMap(approverList);
  const most = mostApprovers(named);
  const required = approval.required ?? stepDefaults.approval.required;
  if (most !== null && most < required) {
    faults.add(`${base}/required`, `${required} approvals are required, and ${most} can be given by those who are named`, {
      suggestion: 'name more people, or a role',
    });
  }
  const expiresInMs = approval.expiresInMs ?? stepDefaults.approval.expiresInMs;
  for (const [index, { afterMs }] of (approval.escalate ?? []).entries()) {
    if (afterMs < expiresInMs) continue;
    faults.add(`${base}/escalate/${index}/afterMs`, `it would come after ${afterMs} ms, and the approval expires after ${expiresInMs} ms`, {
      suggestion: 'escalate earlier, or raise expiresInMs',
    });
  }
}
