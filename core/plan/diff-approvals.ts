import { approverList, isAsked } from '#core/approval/approvers.ts';
import { isRole } from '#core/policy/permissions.ts';
import { type ApprovalStep, stepDefaults } from '#schemas/plan.ts';
import type { ApprovalDiff } from '#schemas/plan-diff.ts';
import type { CompiledStep } from './compiled.ts';

/** Whether less must be allowed than before, or more. What is neither is only `changed`. */
export function diffApproval(before: CompiledStep | undefined, after: CompiledStep | undefined): ApprovalDiff | null {
  const id = (after ?? before)?.id ?? '';
  const [from, to] = [approvalOf(before), approvalOf(after)];
  if (from === null) return to === null ? null : { id, verdict: 'tightened', because: ['it is asked for now'] };
  if (to === null) return { id, verdict: 'loosened', because: ['it is asked for no longer'] };
  const loosened = [...eased(from, to, looser), ...(becomesConditional(before, after) ? ['its "when" says whether it is asked for'] : [])];
  const tightened = [...eased(to, from, tighter), ...(becomesConditional(after, before) ? ['it is asked for always'] : [])];
  const because = [...loosened, ...tightened];
  if (because.length === 0) return null;
  const mixed = loosened.length > 0 && tightened.length > 0;
  return { id, verdict: mixed ? 'mixed' : loosened.length > 0 ? 'loosened' : 'tightened', because };
}

interface Approval {
  options: ApprovalStep['approval'];
  /** At the end of all escalations. */
  approvers: string[];
}

function approvalOf(step: CompiledStep | undefined): Approval | null {
  if (step === undefined || !('approval' in step.definition)) return null;
  const options = step.definition.approval;
  return { options, approvers: [options.from ?? stepDefaults.approval.from, ...(options.escalate ?? []).map(({ to }) => to ?? [])].flatMap(approverList) };
}

interface Words {
  when: string;
  joined: string;
  required: (more: number, fewer: number) => string;
}

const looser: Words = {
  when: 'no longer',
  joined: 'may decide, too',
  required: (more, fewer) => `of ${more} people, ${fewer} ${fewer === 1 ? 'is' : 'are'} required`,
};
const tighter: Words = { when: 'from now on', joined: 'may decide no longer', required: (more, fewer) => `${more} people are required, not ${fewer}` };

/** What `less` asks less than `more`. */
function eased(more: Approval, less: Approval, words: Words): string[] {
  const covered = new Set(less.options.for ?? []);
  const requiredOf = ({ options }: Approval): number => options.required ?? stepDefaults.approval.required;
  return [
    ...(more.options.for ?? []).filter((id) => !covered.has(id)).map((id) => `${id} is covered ${words.when}`),
    ...(requiredOf(less) < requiredOf(more) ? [words.required(requiredOf(more), requiredOf(less))] : []),
    ...(more.options.fourEyes === true && less.options.fourEyes !== true ? [`who answers for the run is kept from deciding ${words.when}`] : []),
    ...less.approvers.filter((approver) => !isIncluded(approver, more.approvers)).map((approver) => `${approver} ${words.joined}`),
  ];
}

/** `role:admin` adds nobody where `role:approver` is asked. */
function isIncluded(approver: string, approvers: readonly string[]): boolean {
  const role = approver.startsWith('role:') ? approver.slice('role:'.length) : '';
  return isRole(role) ? isAsked({ principalId: '', roles: [role] }, approvers) : approvers.includes(approver);
}

/** Skipped by its own `when`, an approval lets its steps run. */
function becomesConditional(before: CompiledStep | undefined, after: CompiledStep | undefined): boolean {
  const isConditional = (step: CompiledStep | undefined): boolean => step?.when !== null && step?.definition.when !== true;
  return isConditional(after) && !isConditional(before);
}
