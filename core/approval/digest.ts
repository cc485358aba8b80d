import { digestOf } from '#core/plan/load.ts';
import type { ApprovalArgument } from '#schemas/approval.ts';
import type { Json } from '#schemas/json.ts';

/** What a digest covers besides what is shown. */
export interface Covered {
  /** Digest of the plan. */
  plan: string;
  /** Versions of the tools that the plan uses. */
  tools: Record<string, number>;
}

/** What a decision is bound to: the plan, the tools' versions, what was shown. SHA-256 of the RFC 8785 form. */
export const approvalDigest = (covered: Covered, message: string | null, shown: ApprovalArgument[]): string =>
  digestOf({ plan: covered.plan, tools: covered.tools, message, arguments: shown as unknown as Json });
