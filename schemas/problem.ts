import { z } from 'zod';

/** RFC 9457 problem document with kOS's own members. */
export const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  traceId: z.string(),
  retryable: z.boolean(),
  fix: z.string().nullable(),
  errors: z.array(z.looseObject({ pointer: z.string(), message: z.string() })),
});
export type Problem = z.infer<typeof problemSchema>;
