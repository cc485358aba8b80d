import type { ApprovalDecision } from '#schemas/approval.ts';

/** What stands of an approval before a decision. */
export interface Standing {
  required: number;
  argumentsDigest: string;
  decisions: readonly Pick<ApprovalDecision, 'by' | 'responsible' | 'decision' | 'argumentsDigest'>[];
}

/** The people whose approval counts: each once, and only for the arguments as they are now. */
export function peopleWhoApproved({ argumentsDigest, decisions }: Standing): Set<string> {
  const counting = decisions.filter((made) => made.decision === 'approve' && (made.argumentsDigest ?? argumentsDigest) === argumentsDigest);
  return new Set(counting.map((made) => made.responsible ?? made.by));
}

/** One denial denies; as many people as are required approve. */
export function statusOf(standing: Standing): 'open' | 'approved' | 'denied' {
  if (standing.decisions.some((made) => made.decision === 'deny')) return 'denied';
  return peopleWhoApproved(standing).size >= standing.required ? 'approved' : 'open';
}
