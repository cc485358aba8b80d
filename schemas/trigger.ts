import { z } from 'zod';
import { idSchema } from './ids.ts';
import { jsonObjectSchema, jsonSchema } from './json.ts';
import { startRunSchema } from './run.ts';

/** How senders prove who they are. `standard`: Standard Webhooks, by a shared secret (v1) or the sender's key pair (v1a). */
export const webhookSchemes = ['standard', 'github', 'stripe', 'slack', 'bearer'] as const;
export type WebhookScheme = (typeof webhookSchemes)[number];

export const triggerNameSchema = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'must be lower-case letters, digits and hyphens, at most 64');

const pointerSchema = z.string().regex(/^(\/([^~/]|~[01])*)+$/, 'must be a JSON pointer, as in /customer/email');

const definition = {
  /** `name` (its newest version at each delivery) or `name@version`. */
  plan: startRunSchema.shape.plan,
  labels: startRunSchema.shape.labels,
  priority: startRunSchema.shape.priority,
  scheme: z.enum(webhookSchemes),
  /** Of `standard`: the sender's Ed25519 public keys; two while they rotate. */
  publicKeys: z
    .array(z.string().regex(/^whpk_[A-Za-z0-9+/]{43}=$/, 'must be whpk_ and 32 bytes in base64'))
    .max(2)
    .default([]),
  /** CEL over body and headers; what it is false for is ignored. Null: everything starts a run. */
  filter: z.string().min(1).max(10_000).nullable().default(null),
  /** The plan's input, with expressions over body and headers. */
  input: jsonObjectSchema.default({}),
  /** Left out wherever deliveries are shown, besides authorisation, cookies and signatures. */
  private: z
    .strictObject({ headers: z.array(z.string().min(1).max(200)).max(50).default([]), body: z.array(pointerSchema).max(50).default([]) })
    .default({ headers: [], body: [] }),
};

export const setTriggerSchema = z.strictObject(definition);
export type SetTrigger = z.infer<typeof setTriggerSchema>;

const givenSecret = z.string().min(16, 'must have at least 16 characters').max(500);

export const createTriggerSchema = z.strictObject({
  name: triggerNameSchema,
  ...definition,
  /** The sender's own (Stripe and Slack make theirs); absent: one is made, and shown once. */
  secret: givenSecret.optional(),
  enabled: z.boolean().default(true),
});
export type CreateTrigger = z.infer<typeof createTriggerSchema>;

export const triggerSchema = z.object({
  id: idSchema('trigger'),
  name: z.string(),
  /** Where deliveries are posted to. */
  url: z.string(),
  ...setTriggerSchema.shape,
  labels: z.record(z.string(), z.string()),
  priority: z.int().nullable(),
  enabled: z.boolean(),
  /** Why it is disabled. */
  note: z.string().nullable(),
  /** The person under whose present rights it acts, and who answers for its runs. */
  createdBy: z.string(),
  grant: z.array(z.string()),
  createdAt: z.string(),
  updatedAt: z.string(),
  /** Until when the secret before the present one is good, too. */
  previousSecretUntil: z.string().nullable(),
  /** Deliveries that were answered with 401 since it was made, and why the last one was. Senders are not told. */
  refused: z.int(),
  lastRefusal: z.object({ at: z.string(), reason: z.string() }).nullable(),
  /** Whether equal deliveries are known by an id: bearer's only with an Idempotency-Key. */
  deduplication: z.string(),
});
export type Trigger = z.infer<typeof triggerSchema>;

/** `secret`: shown this once, and only when it was made here. */
export const madeTriggerSchema = triggerSchema.extend({ secret: z.string().nullable() });
export type MadeTrigger = z.infer<typeof madeTriggerSchema>;

export const rotateTriggerSchema = z.strictObject({
  secret: givenSecret.optional(),
  /** How long the secret before it stays good, ms; a day when absent. */
  keepPreviousMs: z.int().min(0).max(2_592_000_000).default(86_400_000),
});
export type RotateTrigger = z.infer<typeof rotateTriggerSchema>;

export const triggerNoteSchema = z.strictObject({ note: z.string().max(2_000).optional() });

export const deliverySampleSchema = z.strictObject({ headers: z.record(z.string(), z.string()).default({}), body: jsonSchema });
export type DeliverySample = z.infer<typeof deliverySampleSchema>;

export const tryTriggerSchema = z.strictObject({ plan: definition.plan, filter: definition.filter, input: definition.input, sample: deliverySampleSchema });
export type TryTrigger = z.infer<typeof tryTriggerSchema>;

/** The definition of a trigger on a sample, or on a delivery that it has had. */
export const tryDeliverySchema = z.union([z.strictObject({ sample: deliverySampleSchema }), z.strictObject({ deliveryId: idSchema('delivery') })]);

export const triggerTrialSchema = z.object({
  /** Whether the filter lets it through. */
  matches: z.boolean(),
  /** What the run would be given; null: no run. */
  input: jsonObjectSchema.nullable(),
  /** What the plan says to that. */
  faults: z.array(z.object({ pointer: z.string(), message: z.string() })),
});
export type TriggerTrial = z.infer<typeof triggerTrialSchema>;

/** `failed`: no run could be made of it; its sender was told, and may send it again. */
export const deliveryStatuses = ['accepted', 'ignored', 'duplicate', 'failed'] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

export const deliverySchema = z.object({
  id: idSchema('delivery'),
  status: z.enum(deliveryStatuses),
  reason: z.string().nullable(),
  /** By which equal deliveries are known; null: by nothing. */
  key: z.string().nullable(),
  duplicateOf: z.string().nullable(),
  runId: z.string().nullable(),
  /** Who had it run again; null: it came from its sender. */
  redeliveredBy: z.string().nullable(),
  bytes: z.int(),
  receivedAt: z.string(),
});
export type Delivery = z.infer<typeof deliverySchema>;

export const deliveryContentSchema = deliverySchema.extend({ headers: z.record(z.string(), z.string()), body: jsonSchema });
export type DeliveryContent = z.infer<typeof deliveryContentSchema>;

/** What a sender is answered. */
export const receiptSchema = z.object({
  deliveryId: z.string(),
  runId: z.string().optional(),
  ignored: z.string().optional(),
  duplicateOf: z.string().optional(),
});
export type Receipt = z.infer<typeof receiptSchema>;
