import { z } from 'zod';
import { idSchema } from './ids.ts';
import { planNameSchema } from './plan.ts';
import { triggerNameSchema } from './trigger.ts';
import { outgoingUrlSchema } from './webhook.ts';

/** Whose form messages take. `url`: kOS's own, as plain JSON. */
export const channelKinds = ['slack', 'discord', 'teams', 'url'] as const;
export type ChannelKind = (typeof channelKinds)[number];

/** What people are told of. */
export const channelTopics = ['run.failed', 'approval.requested', 'step.uncertain', 'schedule.missed'] as const;
export type ChannelTopic = (typeof channelTopics)[number];

const definition = {
  kind: z.enum(channelKinds),
  topics: z
    .array(z.enum(channelTopics))
    .min(1)
    .default([...channelTopics]),
  /** Of runs of this plan alone; null: of all. */
  plan: planNameSchema.nullable().default(null),
};

/** `url`: a new address; absent: the one that it has. */
export const setChannelSchema = z.strictObject({ ...definition, url: outgoingUrlSchema.optional() });
export type SetChannel = z.infer<typeof setChannelSchema>;

export const createChannelSchema = z.strictObject({ name: triggerNameSchema, ...definition, url: outgoingUrlSchema, enabled: z.boolean().default(true) });
export type CreateChannel = z.infer<typeof createChannelSchema>;

export type ChannelDefinition = z.infer<z.ZodObject<typeof definition>>;

export const channelSchema = z.object({
  id: idSchema('channel'),
  name: z.string(),
  ...definition,
  /** Of its address, which is a secret and is never shown. */
  host: z.string(),
  enabled: z.boolean(),
  /** Why it is disabled. */
  note: z.string().nullable(),
  /** Messages that wait to be tried (again), and dead letters. */
  pending: z.int(),
  failed: z.int(),
  /** The person under whose present rights it tells. */
  createdBy: z.string(),
  grant: z.array(z.string()),
  updatedAt: z.string(),
  createdAt: z.string(),
});
export type Channel = z.infer<typeof channelSchema>;
