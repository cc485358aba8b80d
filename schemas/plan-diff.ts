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

/** Micros (1/1,000,000) of the currency per million tokens. */
const modelPriceSchema = z.object({ inputMicros: z.int(), cachedInputMicros: z.int(), outputMicros: z.int() });

const modelUseSchema = z.object({
  model: z.string(),
  /** Provider and name; null: none of the models that are installed. */
  resolvesTo: z.string().nullable(),
  /** List prices; null: not known here. */
  price: modelPriceSchema.nullable(),
  /** Of one run, each attempt counted; null: known only when it runs. */
  callsAtMost: z.int().nullable(),
  /** Of one call; null: the plan names no bound. */
  maxOutputTokens: z.int().nullable(),
});
export type ModelUse = z.infer<typeof modelUseSchema>;

const costDiffSchema = z.object({
  /** Of all prices. */
  currency: z.string(),
  /** Steps whose calls of models cost something else; null: the plan has no such step there. */
  steps: z.array(z.object({ id: z.string(), from: modelUseSchema.nullable(), to: modelUseSchema.nullable() })),
  /** The most that the output of all calls of one run costs; null: not known. What is sent is billed, too, by its length. */
  outputMicrosAtMost: z.object({ from: z.int().nullable(), to: z.int().nullable() }),
});
export type CostDiff = z.infer<typeof costDiffSchema>;

export const planDiffSchema = z.object({
  equal: z.boolean(),
  /** Of the plan as a whole: input, output, bounds. */
  header: z.array(changeSchema),
  steps: z.array(stepDiffSchema),
  approvals: z.array(approvalDiffSchema),
  modelCalls: z.object({ from: modelCallsSchema, to: modelCallsSchema }),
  cost: costDiffSchema,
});
export type PlanDiff = z.infer<typeof planDiffSchema>;

/** A saved plan (`name` or `name@version`), or a plan's text. */
const planSideSchema = z.union([z.string().regex(/^[a-z][a-z0-9-]{0,63}(@[1-9][0-9]{0,8})?$/, 'must be a plan name or name@version'), planAmongOthersSchema]);
export type PlanSide = z.infer<typeof planSideSchema>;

export const diffPlansSchema = z.strictObject({ from: planSideSchema, to: planSideSchema });
