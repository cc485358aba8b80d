import { stringify } from 'yaml';
import { canonicalJson } from '#core/expression/values.ts';
import type { Role } from '#core/policy/permissions.ts';
import { type ScheduleFile, scheduleFileSchema, type TriggerFile, triggerFileSchema } from '#schemas/files.ts';
import { asJsonObject, type Json, type JsonObject } from '#schemas/json.ts';
import type { Member } from '#schemas/people.ts';
import { roleNames } from '#schemas/plan.ts';
import type { Schedule } from '#schemas/schedule.ts';
import { changeSettingsSchema, type WorkspaceSettings } from '#schemas/settings.ts';
import type { Trigger } from '#schemas/trigger.ts';

/** A schedule as a file says it, every default written out. */
export const scheduleDocument = ({
  name,
  plan,
  input,
  labels,
  priority,
  spec,
  overlap,
  catchupWindowMs,
  pauseOnFailure,
  runsAtMost,
  paused,
}: Schedule): JsonObject =>
  withoutAbsent({ kind: 'schedule', name, plan, input, labels, priority, spec, overlap, catchupWindowMs, pauseOnFailure, runsAtMost, paused });

export const triggerDocument = ({ name, plan, labels, priority, scheme, publicKeys, filter, input, private: hidden, enabled }: Trigger): JsonObject =>
  withoutAbsent({ kind: 'trigger', name, plan, scheme, publicKeys, filter, input, labels, priority, private: hidden, enabled });

/** Those that a file may name. */
export function settingsDocument(settings: WorkspaceSettings): JsonObject {
  const named = Object.entries(asJsonObject(settings)).filter(([name]) => Object.hasOwn(changeSettingsSchema.shape, name));
  return { kind: 'settings', ...Object.fromEntries(named) };
}

/** Null: nobody who could be named by a login. */
export function rolesDocument(members: readonly Member[]): JsonObject | null {
  const named = members.flatMap(({ login, roles }): [string, Json][] => (login === null ? [] : [[login, inOrder(roles)]]));
  return named.length === 0 ? null : { kind: 'roles', members: Object.fromEntries(named.toSorted(([a], [b]) => (a < b ? -1 : 1))) };
}

export const inOrder = (roles: readonly Role[]): Role[] => roleNames.filter((role) => roles.includes(role));

/** As it was parsed, without what says nothing: so it is equal to what the API answers. */
export const fileDocument = (document: ScheduleFile | TriggerFile): JsonObject => withoutAbsent(document);

function withoutAbsent(document: object): JsonObject {
  const { labels, priority, ...rest } = asJsonObject(document);
  const isNamed = typeof labels === 'object' && labels !== null && Object.keys(labels).length > 0;
  return { ...rest, ...(isNamed ? { labels } : {}), ...(priority === undefined || priority === null ? {} : { priority }) };
}

/** The text of a file. */
export const textOfDocument = (document: JsonObject): string => stringify(shortened(document), { lineWidth: 0 });

const aSchedule = asJsonObject(scheduleFileSchema.parse({ kind: 'schedule', name: 'a', plan: 'a', spec: { cron: ['@daily'] } }));
const defaultsOf: Readonly<Record<'schedule' | 'trigger', JsonObject>> = {
  schedule: { ...aSchedule, paused: false, spec: { ...(aSchedule['spec'] as JsonObject), cron: [] } },
  trigger: { ...asJsonObject(triggerFileSchema.parse({ kind: 'trigger', name: 'a', plan: 'a', scheme: 'bearer' })), enabled: true },
};
const alwaysSaid = ['kind', 'name', 'plan', 'scheme'];

/** Without what holds anyway. */
export function shortened(document: JsonObject): JsonObject {
  const { kind } = document;
  const defaults = kind === 'schedule' || kind === 'trigger' ? defaultsOf[kind] : {};
  return without(document, Object.fromEntries(Object.entries(defaults).filter(([key]) => !alwaysSaid.includes(key))));
}

function without(value: JsonObject, defaults: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]): [string, Json][] => {
      const usual = defaults[key];
      if (usual === undefined) return [[key, member]];
      if (canonicalJson(usual) === canonicalJson(member)) return [];
      return [[key, isObject(member) && isObject(usual) ? without(member, usual) : member]];
    }),
  );
}

const isObject = (value: Json): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);
