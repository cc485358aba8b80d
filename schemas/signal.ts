import { z } from 'zod';
import { jsonSchema } from './json.ts';
import { signalNamePattern } from './plan.ts';

export const signalLimits = {
  /** Bytes of a payload as JSON. */
  payloadBytes: 256_000,
  /** Signals of one run that no step has taken yet. */
  untaken: 1_000,
} as const;

export const sendSignalSchema = z.strictObject({
  name: z.string().regex(signalNamePattern, 'must be letters, digits and _ . : @ / -, at most 128, a letter or digit first'),
  payload: jsonSchema.default(null),
});
export type SendSignal = z.infer<typeof sendSignalSchema>;

export const signalSchema = z.object({
  id: z.string(),
  runId: z.string(),
  name: z.string(),
  payload: jsonSchema,
  /** buffered: no step has taken it yet. */
  status: z.enum(['buffered', 'taken']),
  /** The step that took it. */
  stepPath: z.string().nullable(),
  sentBy: z.string(),
  receivedAt: z.string(),
  takenAt: z.string().nullable(),
});
export type Signal = z.infer<typeof signalSchema>;
