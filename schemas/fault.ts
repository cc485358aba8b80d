import { z } from 'zod';

/** One fault inside a larger input, as `core/errors.ts` has it. */
export const faultDetailSchema = z.object({
  /** RFC 6901. */
  pointer: z.string(),
  message: z.string(),
  /** 1-based position in the text that was given, where there is one. */
  line: z.int().optional(),
  column: z.int().optional(),
  suggestion: z.string().optional(),
});
