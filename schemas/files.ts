import { z } from 'zod';
import { ruleNameSchema, setRuleSchema } from './approval-rule.ts';
import { channelKinds, createChannelSchema } from './channel.ts';
import { loginSchema, wantedRolesSchema } from './people.ts';
import { createScheduleSchema } from './schedule.ts';
import { changeSettingsSchema } from './settings.ts';
import { createTriggerSchema } from './trigger.ts';
import { createWebhookSchema } from './webhook.ts';

/** What a workspace may be described by in files, in the order in which it is changed: who may lose the right to change comes last. */
export const fileKinds = ['settings', 'plan', 'rule', 'schedule', 'trigger', 'webhook', 'channel', 'roles'] as const;
export type FileKind = (typeof fileKinds)[number];

/** A plan has none: it is a file of its own language. */
export const namedKinds = fileKinds.filter((kind) => kind !== 'plan');

/** What is not named stays as it is. */
export const settingsFileSchema = z.strictObject({ kind: z.literal('settings'), ...changeSettingsSchema.shape });
export type SettingsFile = z.infer<typeof settingsFileSchema>;

const { note: _note, paused: _paused, ...schedule } = createScheduleSchema.shape;

/** `paused` absent: as it is, for kOS pauses schedules by itself, too; a new one is not paused. */
export const scheduleFileSchema = z.strictObject({ kind: z.literal('schedule'), ...schedule, paused: z.boolean().optional() });
export type ScheduleFile = z.infer<typeof scheduleFileSchema>;

const { secret: _secret, enabled: _enabled, ...trigger } = createTriggerSchema.shape;

/** No secret stands in a file. `enabled` absent: as it is; a new one is enabled. */
export const triggerFileSchema = z.strictObject({ kind: z.literal('trigger'), ...trigger, enabled: z.boolean().optional() });
export type TriggerFile = z.infer<typeof triggerFileSchema>;

const { enabled: _webhookEnabled, ...webhook } = createWebhookSchema.shape;

/** Its secret is made by kOS and stands in no file. `enabled` absent: as it is, for it disables itself, too; a new one is enabled. */
export const webhookFileSchema = z.strictObject({ kind: z.literal('webhook'), ...webhook, enabled: z.boolean().optional() });
export type WebhookFile = z.infer<typeof webhookFileSchema>;

const { kind: _form, url: _address, enabled: _channelEnabled, ...channel } = createChannelSchema.shape;

/** The address is a secret and stands in no file; `host` says where it leads, and absent nothing of it. `form`: what the API calls `kind`, for that word says here what a file is. */
export const channelFileSchema = z.strictObject({
  kind: z.literal('channel'),
  form: z.enum(channelKinds),
  ...channel,
  host: z.string().min(1).max(300).optional(),
  enabled: z.boolean().optional(),
});
export type ChannelFile = z.infer<typeof channelFileSchema>;

export const ruleFileSchema = z.strictObject({ kind: z.literal('rule'), name: ruleNameSchema, ...setRuleSchema.shape });
export type RuleFile = z.infer<typeof ruleFileSchema>;

/** By login: the roles that somebody is to hold. */
export const rolesFileSchema = z.strictObject({ kind: z.literal('roles'), members: z.record(loginSchema, wantedRolesSchema) });
