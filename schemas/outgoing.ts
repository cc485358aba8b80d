import { z } from 'zod';
import { idSchema } from './ids.ts';

/** `failed`: it is given up, a dead letter. */
export const outgoingStatuses = ['pending', 'delivered', 'failed'] as const;
export type OutgoingStatus = (typeof outgoingStatuses)[number];

/** One try to deliver. */
export const attemptSchema = z.object({
  at: z.string(),
  /** The answer's; null: there was none. */
  status: z.int().nullable(),
  /** Why it is no delivery; null: it is one. */
  error: z.string().nullable(),
  fix: z.string().nullable(),
  durationMs: z.int(),
  /** How the answer's body begins. */
  answer: z.string(),
});
export type Attempt = z.infer<typeof attemptSchema>;

/** Something that was sent, or is to be. */
export const outgoingDeliverySchema = z.object({
  id: idSchema('outgoing'),
  status: z.enum(outgoingStatuses),
  type: z.string(),
  /** What it tells of, `evt_…`: the `webhook-id` of every try, by which equal ones are known. */
  eventId: z.string(),
  runId: z.string().nullable(),
  attempts: z.int(),
  /** When it is tried again; null: it is over. */
  nextAttemptAt: z.string().nullable(),
  /** Why it is given up, or why the last try was none. */
  error: z.string().nullable(),
  fix: z.string().nullable(),
  /** Who had it sent again; null: it came from its event. */
  redeliveredBy: z.string().nullable(),
  createdAt: z.string(),
  finishedAt: z.string().nullable(),
});
export type OutgoingDelivery = z.infer<typeof outgoingDeliverySchema>;

export const outgoingContentSchema = outgoingDeliverySchema.extend({ body: z.string(), tries: z.array(attemptSchema) });
export type OutgoingContent = z.infer<typeof outgoingContentSchema>;

/** Which dead letters: all of them when nothing is said. */
export const redeliverDeadSchema = z.strictObject({
  /** Made then or later. */
  since: z.iso.datetime({ offset: true }).optional(),
  /** Of this type of event. */
  type: z.string().min(1).max(100).optional(),
});
export type RedeliverDead = z.infer<typeof redeliverDeadSchema>;

/** `more`: there are further ones; ask again under another key. */
export const redeliveredSchema = z.object({ redelivered: z.int(), more: z.boolean() });
export type Redelivered = z.infer<typeof redeliveredSchema>;

/** What came of a test: nothing is tried again. */
export const testResultSchema = attemptSchema.extend({ delivered: z.boolean() });
export type TestResult = z.infer<typeof testResultSchema>;
