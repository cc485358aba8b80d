import { stringify } from 'yaml';
import { canonicalJson } from '#core/expression/values.ts';
import type { Role } from '#core/policy/permissions.ts';
import type { ApprovalRule } from '#schemas/approval-rule.ts';
import { type Channel, channelTopics } from '#schemas/channel.ts';
import {
  type ChannelFile,
  channelFileSchema,
  type RuleFile,
  type ScheduleFile,
  scheduleFileSchema,
  type TriggerFile,
  triggerFileSchema,
  type WebhookFile,
  webhookFileSchema,
} from '#schemas/files.ts';
import { asJsonObject, type Json, type JsonObject } from '#schemas/json.ts';
import type { Member } from '#schemas/people.ts';
import { roleNames } from '#schemas/plan.ts';
import type { Schedule } from '#schemas/schedule.ts';
import { changeSettingsSchema, type WorkspaceSettings } from '#schemas/settings.ts';
import type { Trigger } from '#schemas/trigger.ts';
import { eventSelectorSchema, type Webhook } from '#schemas/webhook.ts';

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

/** What it tells of is a set: its order says nothing. */
export const webhookDocument = ({ name, url, events, plan, enabled }: Webhook): JsonObject =>
  asJsonObject({ kind: 'webhook', name, url, events: inOrderOf(eventSelectorSchema.options, events), plan, enabled });

export const channelDocument = ({ name, kind, host, topics, plan, enabled }: Channel): JsonObject =>
  asJsonObject({ kind: 'channel', name, form: kind, host, topics: inOrderOf(channelTopics, topics), plan, enabled });

export const ruleDocument = ({ name, tool, when, description }: ApprovalRule): JsonObject =>
  asJsonObject({ kind: 'rule', name, tool, ...(when === null ? {} : { when }), ...(description === null ? {} : { description }) });

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

const inOrderOf = <Word>(order: readonly Word[], words: readonly Word[]): Word[] => order.filter((word) => words.includes(word));

export const inOrder = (roles: readonly Role[]): Role[] => inOrderOf(roleNames, roles);

/** As it was parsed, without what says nothing: so it is equal to what the API answers. */
export function fileDocument(document: ScheduleFile | TriggerFile | WebhookFile | ChannelFile | RuleFile): JsonObject {
  switch (document.kind) {
    case 'schedule':
    case 'trigger':
      return withoutAbsent(document);
    case 'webhook':
      return asJsonObject({ ...document, events: inOrderOf(eventSelectorSchema.options, document.events) });
    case 'channel':
      return asJsonObject({ ...document, topics: inOrderOf(channelTopics, document.topics) });
    case 'rule':
      return asJsonObject(document);
  }
}

function withoutAbsent(document: object): JsonObject {
  const { labels, priority, ...rest } = asJsonObject(document);
  const isNamed = typeof labels === 'object' && labels !== null && Object.keys(labels).length > 0;
  return { ...rest, ...(isNamed ? { labels } : {}), ...(priority === undefined || priority === null ? {} : { priority }) };
}

/** The text of a file. */
export const textOfDocument = (document: JsonObject): string => stringify(shortened(document), { lineWidth: 0 });

const aSchedule = asJsonObject(scheduleFileSchema.parse({ kind: 'schedule', name: 'a', plan: 'a', spec: { cron: ['@daily'] } }));
const aWebhook = webhookFileSchema.parse({ kind: 'webhook', name: 'a', url: 'https://a.example', events: ['*'] });
const aChannel = channelFileSchema.parse({ kind: 'channel', name: 'a', form: 'url' });
const unsaid = (document: object, said: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(asJsonObject(document)).filter(([key]) => !said.includes(key)));

/** What holds where a file says nothing of it. */
const defaultsOf: Readonly<Record<string, JsonObject>> = {
  schedule: unsaid({ ...aSchedule, paused: false, spec: { ...(aSchedule['spec'] as JsonObject), cron: [] } }, ['kind', 'name', 'plan']),
  trigger: unsaid({ ...triggerFileSchema.parse({ kind: 'trigger', name: 'a', plan: 'a', scheme: 'bearer' }), enabled: true }, [
    'kind',
    'name',
    'plan',
    'scheme',
  ]),
  webhook: unsaid({ ...aWebhook, enabled: true }, ['kind', 'name', 'url', 'events']),
  channel: unsaid({ ...aChannel, enabled: true }, ['kind', 'name', 'form']),
};

/** Without what holds anyway. */
export function shortened(document: JsonObject): JsonObject {
  const { kind } = document;
  return without(document, typeof kind === 'string' ? (defaultsOf[kind] ?? {}) : {});
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
