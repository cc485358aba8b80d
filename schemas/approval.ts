import { z } from 'zod';
import { jsonSchema } from './json.ts';

export const approvalArgumentSchema = z.object({
  stepPath: z.string(),
  kind: z.string(),
  tool: z.string().optional(),
  input: jsonSchema,
});
export type ApprovalArgument = z.infer<typeof approvalArgumentSchema>;

export const approvalStatuses = ['open', 'approved', 'denied', 'expired', 'voided'] as const;

export const approvalDecisionSchema = z.object({
  by: z.string(),
  decision: z.enum(['approve', 'deny']),
  reason: z.string().nullable(),
  at: z.string(),
});
export type ApprovalDecision = z.infer<typeof approvalDecisionSchema>;

export const approvalSchema = z.object({
  id: z.string(),
  runId: z.string(),
  stepPath: z.string(),
  /** The same from the outermost run on, through the steps that called this one: `each[3]/ask`. */
  path: z.string(),
  status: z.enum(approvalStatuses),
  message: z.string().nullable(),
  arguments: z.array(approvalArgumentSchema),
  /** SHA-256 (hex) of the RFC 8785 form of plan digest, tool versions, message and arguments: what a decision is bound to. */
  argumentsDigest: z.string(),
  from: z.string(),
  required: z.int(),
  fourEyes: z.boolean(),
  createdAt: z.string(),
  /** Null: never expires. */
  expiresAt: z.string().nullable(),
  decisions: z.array(approvalDecisionSchema),
});
export type Approval = z.infer<typeof approvalSchema>;

export const decideApprovalSchema = z.strictObject({
  decision: z.enum(['approve', 'deny']),
  argumentsDigest: z.string().regex(/^[0-9a-f]{64}$/),
  reason: z.string().max(2000).optional(),
});
export type DecideApproval = z.infer<typeof decideApprovalSchema>;
