import { z } from 'zod';

export const ruleNameSchema = z
  .string()
  .max(64)
  .regex(/^[a-z][a-z0-9-]*$/, 'a rule name starts with a lower-case letter and has only lower-case letters, digits and hyphens');

/** A tool by name, or all tools of a room: `fs.write`, `fs.*`. */
const toolPatternSchema = z
  .string()
  .max(200)
  .regex(/^[a-z][a-zA-Z0-9]*(\.[a-z][a-zA-Z0-9]*)*\.([a-z][a-zA-Z0-9]*|\*)$/, 'must be the name of a tool, or a room of tools such as fs.*');

/** What a rule says: calls of this tool whose arguments meet the condition need no person. */
export const ruleDraftSchema = z.strictObject({
  tool: toolPatternSchema,
  /** One expression over `arguments`; without it, whatever the arguments are. */
  when: z.string().trim().min(1).max(4_000).optional(),
});
export type RuleDraft = z.infer<typeof ruleDraftSchema>;

export const setRuleSchema = ruleDraftSchema.extend({ description: z.string().max(2_000).optional() });
export type SetRule = z.infer<typeof setRuleSchema>;

export const approvalRuleSchema = z.object({
  name: z.string(),
  version: z.int(),
  tool: z.string(),
  when: z.string().nullable(),
  description: z.string().nullable(),
  /** A version that says that the rule is no more. */
  removed: z.boolean(),
  createdBy: z.string(),
  createdAt: z.string(),
});
export type ApprovalRule = z.infer<typeof approvalRuleSchema>;

export const testRuleSchema = ruleDraftSchema.extend({
  /** How many past approvals to look at, newest first. */
  limit: z.int().min(1).max(500).default(200),
});
export type TestRule = z.infer<typeof testRuleSchema>;

/** What a rule would have done to past approvals, had it been the only one. */
export const ruleTrialSchema = z.object({
  examined: z.int(),
  wouldApprove: z.int(),
  /** Of those, what became of them. */
  became: z.record(z.string(), z.int()),
  /** Calls of the tool for which the condition could not be evaluated: they would be asked for. */
  failed: z.int(),
  /** The newest that it would have approved. */
  sample: z.array(z.object({ approvalId: z.string(), runId: z.string(), stepPath: z.string(), status: z.string() })),
});
export type RuleTrial = z.infer<typeof ruleTrialSchema>;
