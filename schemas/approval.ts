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

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);

export const ruleReferenceSchema = z.object({ name: z.string(), version: z.int() });
export type RuleReference = z.infer<typeof ruleReferenceSchema>;

export const approvalDecisionSchema = z.object({
  /** A principal's id, or `rule:NAME@VERSION`. */
  by: z.string(),
  /** Who answers for the one who decided: of the same person one approval counts. Absent in what earlier releases wrote. */
  responsible: z.string().optional(),
  decision: z.enum(['approve', 'deny']),
  reason: z.string().nullable(),
  at: z.string(),
  /** What was decided on; an approval of another digest than the approval's own no longer counts. Absent in what earlier releases wrote. */
  argumentsDigest: z.string().optional(),
  /** The arguments were replaced with this decision: the digest is that of the new ones. */
  edited: z.literal(true).optional(),
  /** The rules that decided in nobody's presence. */
  rules: z.array(ruleReferenceSchema).optional(),
});
export type ApprovalDecision = z.infer<typeof approvalDecisionSchema>;

export const approvalCommentSchema = z.object({ by: z.string(), text: z.string(), at: z.string() });
export type ApprovalComment = z.infer<typeof approvalCommentSchema>;

export const approvalSchema = z.object({
  id: z.string(),
  runId: z.string(),
  stepPath: z.string(),
  /** The same from the outermost run on, through the steps that called this one: `each[3]/ask`. */
  path: z.string(),
  status: z.enum(approvalStatuses),
  message: z.string().nullable(),
  arguments: z.array(approvalArgumentSchema),
  /** Of an open approval: the steps among those that people have overridden or skipped meanwhile, which no longer run. */
  endedByHand: z.array(z.object({ stepPath: z.string(), action: z.enum(['override', 'skip']), by: z.string(), reason: z.string() })),
  /** SHA-256 (hex) of the RFC 8785 form of plan digest, tool versions, message and arguments: what a decision is bound to. */
  argumentsDigest: z.string(),
  /** Who may decide, as the plan says it. */
  from: z.string(),
  /** The same, one by one, people and agents by their ids; grows when it is escalated. */
  approvers: z.array(z.string()),
  /** Approvals needed, each by another person. */
  required: z.int(),
  /** Approvals of the present arguments so far. */
  approvedBy: z.int(),
  fourEyes: z.boolean(),
  createdAt: z.string(),
  /** Null: never expires. */
  expiresAt: z.string().nullable(),
  /** Who looks at it now, and until when others are kept from approving; null: nobody. */
  claim: z.object({ by: z.string(), until: z.string() }).nullable(),
  decisions: z.array(approvalDecisionSchema),
  comments: z.array(approvalCommentSchema),
});
export type Approval = z.infer<typeof approvalSchema>;

/** What a step would run with instead; what it does not name must be as it is. */
const editedArgumentSchema = z.strictObject({ stepPath: z.string(), kind: z.string().optional(), tool: z.string().optional(), input: jsonSchema });
export type EditedArgument = z.infer<typeof editedArgumentSchema>;

export const decideApprovalSchema = z
  .strictObject({
    decision: z.enum(['approve', 'deny']),
    /** Of the arguments that were shown; with `arguments`, of those that they replace. */
    argumentsDigest: digestSchema,
    arguments: z.array(editedArgumentSchema).min(1).max(100).optional(),
    reason: z.string().max(2000).optional(),
  })
  .refine(({ decision, arguments: edited }) => decision === 'approve' || edited === undefined, {
    path: ['arguments'],
    message: 'only an approval can replace arguments',
  });
export type DecideApproval = z.infer<typeof decideApprovalSchema>;

/** 15 minutes unless it is said otherwise; a day at most. */
export const claimApprovalSchema = z.strictObject({ forMs: z.int().min(1_000).max(86_400_000).default(900_000) });
export const commentApprovalSchema = z.strictObject({ text: z.string().trim().min(1).max(4_000) });
