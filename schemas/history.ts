import { z } from 'zod';
import { jsonObjectSchema } from './json.ts';

export const historyEventSchema = z.object({
  id: z.number(),
  /** Of Temporal: event ids count within one. */
  execution: z.string(),
  at: z.string(),
  type: z.string(),
  /** The event that began what this one is part of, in the same execution; null: it begins something, or stands alone. */
  group: z.number().nullable(),
  /** Paths of the steps that it is about, where the event that names them is on the same page. */
  steps: z.array(z.string()),
  attributes: jsonObjectSchema,
});
export type ShownHistoryEvent = z.infer<typeof historyEventSchema>;

export const historyStates = ['kept', 'not_started', 'expired'] as const;

export const runHistorySchema = z.object({
  state: z.enum(historyStates),
  /** What the state means, to read. */
  text: z.string(),
  items: z.array(historyEventSchema),
  nextCursor: z.string().nullable(),
});
export type RunHistory = z.infer<typeof runHistorySchema>;
