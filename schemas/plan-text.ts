import { z } from 'zod';

/** A plan as it is written. */
export const planTextSchema = z.strictObject({ source: z.string(), format: z.enum(['yaml', 'json']).default('yaml') });
export type PlanText = z.infer<typeof planTextSchema>;

/** Of all texts beside one together, in characters: as much as a plan may have itself, since all of it is read at once. */
const charactersBeside = 1_000_000;

const besideSchema = z
  .array(planTextSchema)
  .max(500)
  .refine((texts) => texts.reduce((sum, { source }) => sum + source.length, 0) <= charactersBeside, `may have ${charactersBeside} characters together`);

/** `beside`: plans that are to be saved together with it. It may run them although they are not there yet, and meets them as they will be. */
export const planAmongOthersSchema = planTextSchema.extend({ beside: besideSchema.optional() });
