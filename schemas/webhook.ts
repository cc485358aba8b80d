import { z } from 'zod';
import { eventTypes } from './event.ts';
import { idSchema } from './ids.ts';
import { planNameSchema } from './plan.ts';
import { triggerNameSchema } from './trigger.ts';

/** Whole groups of event types, besides the types themselves. */
const eventGroups = ['*', 'run.*', 'step.*', 'approval.*', 'schedule.*', 'trigger.*'] as const;

export const eventSelectorSchema = z.enum([...eventTypes, ...eventGroups]);
export type EventSelector = z.infer<typeof eventSelectorSchema>;

export const outgoingUrlSchema = z
  .string()
  .max(2_000)
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''), 'must be an http or https address')
  .refine((text) => !(URL.parse(text)?.username || URL.parse(text)?.password), 'must not hold a user name or password')
  .refine((text) => (URL.parse(text)?.hash ?? '') === '', 'must not hold a fragment: it would not be sent');

const definition = {
  url: outgoingUrlSchema,
  /** What it is told of: types, or groups of them. */
  events: z.array(eventSelectorSchema).min(1).max(100),
  /** Of runs of this plan alone; null: of all, and of what belongs to no run. */
  plan: planNameSchema.nullable().default(null),
};

export const setWebhookSchema = z.strictObject(definition);
export type SetWebhook = z.infer<typeof setWebhookSchema>;

export const createWebhookSchema = z.strictObject({ name: triggerNameSchema, ...definition, enabled: z.boolean().default(true) });
export type CreateWebhook = z.infer<typeof createWebhookSchema>;

export const webhookSchema = z.object({
  id: idSchema('webhook'),
  name: z.string(),
  ...setWebhookSchema.shape,
  /** Deliveries that wait to be tried (again), and dead letters. */
  pending: z.int(),
  failed: z.int(),
  /** Until when deliveries are signed with the secret before the present one, too. */
  previousSecretUntil: z.string().nullable(),
  enabled: z.boolean(),
  /** Why it is disabled. */
  note: z.string().nullable(),
  /** The person under whose present rights it is told. */
  createdBy: z.string(),
  grant: z.array(z.string()),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type Webhook = z.infer<typeof webhookSchema>;

/** `secret`: shown this once. */
export const madeWebhookSchema = webhookSchema.extend({ secret: z.string() });
export type MadeWebhook = z.infer<typeof madeWebhookSchema>;

export const rotateWebhookSchema = z.strictObject({
  /** How long deliveries are signed with the secret before it, too, ms; a day when absent. */
  keepPreviousMs: z.int().min(0).max(2_592_000_000).default(86_400_000),
});

export const enableReceiverSchema = z.strictObject({ note: z.string().max(2_000).optional() });
