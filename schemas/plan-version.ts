import { z } from 'zod';
import { jsonObjectSchema } from './json.ts';

/** Versions count up from 1: nine digits are more than there will be, and fit what keeps them. */
export const isPlanVersion = (version: number): boolean => version >= 1 && version <= 999_999_999;

export const planSummarySchema = z.object({
  name: z.string(),
  version: z.int(),
  /** SHA-256 (hex) of the plan's RFC 8785 form. */
  digest: z.string(),
  description: z.string().nullable(),
  createdBy: z.string(),
  createdAt: z.string(),
});
export type PlanSummary = z.infer<typeof planSummarySchema>;

export const planVersionSchema = planSummarySchema.extend({
  /** As it was written, comments included. */
  source: z.string(),
  /** The plan as data; its `input` is the JSON Schema of a run's input. */
  document: jsonObjectSchema,
});
export type PlanVersion = z.infer<typeof planVersionSchema>;
