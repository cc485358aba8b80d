import { isRole, rolesIncludedIn } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { ApprovalStep } from '#schemas/plan.ts';

type From = NonNullable<ApprovalStep['approval']['from']>;

export const approverList = (from: From): string[] => [...new Set([from].flat())];

/** As people read it. */
export const approversText = (approvers: readonly string[]): string => approvers.join(', ');

/** Somebody who could be meant. */
export interface Member {
  id: string;
  kind: string;
  name: string;
  /** What a person signs in by; nobody else's. */
  login: string | null;
}

export type ResolvedApprover = { ok: true; approver: string } | { ok: false; matches: number };

/**
 * `user:NAME` and `agent:NAME` as `user:ID` and `agent:ID`: a name may change hands while the approval is open, an id does not. A name that nobody has,
 * or that several have, is nobody's.
 */
export function resolveApprover(approver: string, members: readonly Member[]): ResolvedApprover {
  const { kind, who } = partsOf(approver);
  if (kind === 'role') return { ok: true, approver };
  const ofKind = members.filter((member) => member.kind === kind);
  const own = ofKind.filter((member) => member.id === who || member.login === who);
  // Names are chosen freely: one is only taken where nobody is called so by what is theirs alone.
  const found = own.length > 0 ? own : ofKind.filter((member) => member.name === who);
  const [only] = found;
  return found.length === 1 && only !== undefined ? { ok: true, approver: `${kind}:${only.id}` } : { ok: false, matches: found.length };
}

/** Whether this principal is one of those who were asked. A role is met by itself and by those that include it; an unknown form by nobody. */
export function isAsked(principal: Pick<Principal, 'principalId' | 'roles'>, approvers: readonly string[]): boolean {
  return approvers.some((approver) => {
    const { kind, who } = partsOf(approver);
    if (kind === 'role') return isRole(who) && rolesIncludedIn(principal.roles).has(who);
    return (kind === 'user' || kind === 'agent') && who === principal.principalId;
  });
}

/** How many can decide at most when only people and agents are named; null: a role is asked, whose holders may change. */
export function mostApprovers(approvers: readonly string[]): number | null {
  return approvers.some((approver) => partsOf(approver).kind === 'role') ? null : new Set(approvers).size;
}

function partsOf(approver: string): { kind: string; who: string } {
  const at = approver.indexOf(':');
  return { kind: approver.slice(0, Math.max(at, 0)), who: at < 0 ? '' : approver.slice(at + 1) };
}
