import { z } from 'zod';

/** A plan as it is written. */
export const planTextSchema = z.strictObject({ source: z.string(), format: z.enum(['yaml', 'json']).default('yaml') });
export type PlanText = z.infer<typeof planTextSchema>;

/** `beside`: plans that are to be saved together with it. It may run them although they are not there yet, and meets them as they will be. */
export const planAmongOthersSchema = planTextSchema.extend({ beside: z.array(planTextSchema).max(500).optional() });
