import { z } from 'zod';
import { jsonSchema } from './json.ts';
import { planAmongOthersSchema } from './plan-text.ts';

const changeSchema = z.object({ field: z.string(), from: jsonSchema, to: jsonSchema });

const stepDiffSchema = z.object({
  id: z.string(),
  change: z.enum(['added', 'removed', 'changed']),
  kind: z.string(),
  tool: z.string().optional(),
  /** Of the tool as it is installed; `unknown`: it is not. */
  effect: z.enum(['pure', 'idempotent', 'effectful', 'unknown']).optional(),
  model: z.string().optional(),
  /** Field by field, defaults resolved; null: not said. */
  changes: z.array(changeSchema),
});
export type StepDiff = z.infer<typeof stepDiffSchema>;

const approvalDiffSchema = z.object({
  id: z.string(),
  /** `mixed`: some of it looser, some tighter. */
  verdict: z.enum(['loosened', 'tightened', 'mixed']),
  because: z.array(z.string()),
});
export type ApprovalDiff = z.infer<typeof approvalDiffSchema>;

/** The most model calls of one run, each attempt counted; null: known only when it runs. */
const modelCallsSchema = z.int().nullable();

export const planDiffSchema = z.object({
  equal: z.boolean(),
  /** Of the plan as a whole: input, output, bounds. */
  header: z.array(changeSchema),
  steps: z.array(stepDiffSchema),
  approvals: z.array(approvalDiffSchema),
  modelCalls: z.object({ from: modelCallsSchema, to: modelCallsSchema }),
});
export type PlanDiff = z.infer<typeof planDiffSchema>;

/** A saved plan (`name` or `name@version`), or a plan's text. */
const planSideSchema = z.union([z.string().regex(/^[a-z][a-z0-9-]{0,63}(@[1-9][0-9]{0,8})?$/, 'must be a plan name or name@version'), planAmongOthersSchema]);
export type PlanSide = z.infer<typeof planSideSchema>;

export const diffPlansSchema = z.strictObject({ from: planSideSchema, to: planSideSchema });
