import { z } from 'zod';
import { loginSchema, wantedRolesSchema } from './people.ts';
import { createScheduleSchema } from './schedule.ts';
import { changeSettingsSchema } from './settings.ts';
import { createTriggerSchema } from './trigger.ts';

/** What a workspace may be described by in files, in the order in which it is changed: who may lose the right to change comes last. */
export const fileKinds = ['settings', 'plan', 'schedule', 'trigger', 'roles'] as const;
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

/** By login: the roles that somebody is to hold. */
export const rolesFileSchema = z.strictObject({ kind: z.literal('roles'), members: z.record(loginSchema, wantedRolesSchema) });
