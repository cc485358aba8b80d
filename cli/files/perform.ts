import { canonicalJson } from '#core/expression/values.ts';
import { KosError } from '#core/errors.ts';
import type { FileChange } from '#core/files/compare.ts';
import { channelDocument, ruleDocument, scheduleDocument, triggerDocument, webhookDocument } from '#core/files/documents.ts';
import { type GivenSecrets, secretFor } from '#core/files/secrets.ts';
import type { Wanted } from '#core/files/wanted.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Client, Tagged } from '../client.ts';
import type { Reading } from './present.ts';

/** What a change has made that is shown this once. */
export type Made = { trigger: string; url: string; secret: string } | { webhook: string; secret: string } | { invited: string; url: string; expiresAt: string };

export interface Work {
  client: Client;
  wanted: Wanted;
  reading: Reading;
  secrets: GivenSecrets;
}

/** Makes one change through the route that there is for it, on what it was compared with: changed meanwhile, it is refused (409, 412). */
export async function perform(work: Work, change: FileChange): Promise<Made | null> {
  switch (change.kind) {
    case 'settings':
      return await performSettings(work);
    case 'plan':
      return await performPlan(work, change);
    case 'schedule':
      return await performSchedule(work, change);
    case 'trigger':
      return await performTrigger(work, change);
    case 'webhook':
      return await performWebhook(work, change);
    case 'channel':
      return await performChannel(work, change);
    case 'rule':
      return await performRule(work, change);
    case 'roles':
      return await performRoles(work, change);
  }
}

async function performSettings({ client, wanted, reading }: Work): Promise<null> {
  if (wanted.settings === null) return null;
  const { kind: _kind, ...document } = wanted.settings.document;
  const named = Object.fromEntries(Object.entries(document).filter(([, value]) => value !== undefined));
  await client.settings.change(named, reading.settingsEtag);
  return null;
}

async function performPlan({ client, wanted }: Work, { name, action }: FileChange): Promise<null> {
  const plan = wanted.plans.get(name);
  if (action === 'remove') await client.plans.remove(name);
  else if (plan !== undefined) await client.plans.save({ source: plan.source, format: plan.format });
  return null;
}

async function performSchedule({ client, wanted, reading }: Work, { name, fields }: FileChange): Promise<null> {
  const document = wanted.schedules.get(name)?.document;
  const known = reading.present.schedules.get(name);
  if (known === undefined) {
    if (document !== undefined) await client.schedules.create(withoutKind(document));
    return null;
  }
  const { value, etag } = await client.schedules.get(known.id);
  assertSame('schedule', name, scheduleDocument(known), scheduleDocument(value));
  if (document === undefined) {
    await client.schedules.remove(known.id, etag);
    return null;
  }
  const { kind: _kind, name: _name, paused, ...definition } = document;
  if (fields.some(({ field }) => field !== 'paused')) await client.schedules.set(known.id, definition, etag);
  if (paused !== undefined && paused !== value.paused) await client.schedules.pause(known.id, paused ? 'pause' : 'resume', {});
  return null;
}

async function performTrigger({ client, wanted, reading, secrets }: Work, { name, fields }: FileChange): Promise<Made | null> {
  const document = wanted.triggers.get(name)?.document;
  const known = reading.present.triggers.get(name);
  if (known === undefined) {
    if (document === undefined) return null;
    const given = secretFor(secrets, 'trigger', name);
    const made = await client.triggers.create({ ...withoutKind(document), ...(given === undefined ? {} : { secret: given }) });
    return made.secret === null ? null : { trigger: name, url: made.url, secret: made.secret };
  }
  const { value, etag } = await client.triggers.get(known.id);
  assertSame('trigger', name, triggerDocument(known), triggerDocument(value));
  if (document === undefined) {
    await client.triggers.remove(known.id, etag);
    return null;
  }
  const { kind: _kind, name: _name, enabled, ...definition } = document;
  if (fields.some(({ field }) => field !== 'enabled')) await client.triggers.set(known.id, definition, etag);
  await setEnabled(client.triggers, value, enabled);
  return null;
}

async function performWebhook({ client, wanted, reading }: Work, { name, fields }: FileChange): Promise<Made | null> {
  const document = wanted.webhooks.get(name)?.document;
  const known = reading.present.webhooks.get(name);
  if (known === undefined) {
    if (document === undefined) return null;
    const { secret } = await client.webhooks.create(withoutKind(document));
    return { webhook: name, secret };
  }
  const before = await unchangedReceiver('webhook', client.webhooks, known, webhookDocument);
  if (document === undefined) await client.webhooks.remove(known.id, before.etag);
  else {
    const { kind: _kind, name: _name, enabled, ...definition } = document;
    if (fields.some(({ field }) => field !== 'enabled')) await client.webhooks.set(known.id, definition, before.etag);
    await setEnabled(client.webhooks, before.value, enabled);
  }
  return null;
}

async function performChannel({ client, wanted, reading, secrets }: Work, { name, fields }: FileChange): Promise<null> {
  const document = wanted.channels.get(name)?.document;
  const known = reading.present.channels.get(name);
  const url = secretFor(secrets, 'channel', name);
  if (known === undefined) {
    if (document === undefined || url === undefined) return null;
    const { form, topics, plan, enabled = true } = document;
    await client.channels.create({ name, kind: form, topics, plan, enabled, url });
    return null;
  }
  const before = await unchangedReceiver('channel', client.channels, known, channelDocument);
  if (document === undefined) await client.channels.remove(known.id, before.etag);
  else {
    const { form, topics, plan } = document;
    const moves = fields.some(({ field }) => field === 'host') && url !== undefined;
    const definition = { kind: form, topics, plan, ...(moves ? { url } : {}) };
    if (fields.some(({ field }) => field !== 'enabled')) await client.channels.set(known.id, definition, before.etag);
    await setEnabled(client.channels, before.value, document.enabled);
  }
  return null;
}

interface NamedReceiver {
  id: string;
  name: string;
  enabled: boolean;
}

/** As it is now, and as it was compared. */
async function unchangedReceiver<Shown extends NamedReceiver>(
  kind: 'webhook' | 'channel',
  client: { get(id: string): Promise<Tagged<Shown>> },
  known: Shown,
  documentOf: (shown: Shown) => JsonObject,
): Promise<Tagged<Shown>> {
  const now = await client.get(known.id);
  assertSame(kind, known.name, documentOf(known), documentOf(now.value));
  return now;
}

/** `wanted` undefined: as it is. */
async function setEnabled(
  client: { enable(id: string, verb: 'enable' | 'disable', body: object): Promise<unknown> },
  { id, enabled }: NamedReceiver,
  wanted: boolean | undefined,
): Promise<void> {
  if (wanted !== undefined && wanted !== enabled) await client.enable(id, wanted ? 'enable' : 'disable', {});
}

async function performRule({ client, wanted, reading }: Work, { name }: FileChange): Promise<null> {
  const document = wanted.rules.get(name)?.document;
  const known = reading.present.rules.get(name);
  const { value, etag } = known === undefined ? { value: null, etag: '' } : await client.rules.versions(name);
  const [newest] = value?.items ?? [];
  if (known !== undefined && newest !== undefined) assertSame('rule', name, ruleDocument(known), ruleDocument(newest));
  if (document === undefined) await client.rules.remove(name, etag);
  else {
    const { tool, when, description } = document;
    await client.rules.set(name, { tool, ...(when === undefined ? {} : { when }), ...(description === undefined ? {} : { description }) }, etag);
  }
  return null;
}

async function performRoles({ client, wanted, reading: { present } }: Work, { name: login }: FileChange): Promise<Made | null> {
  const roles = wanted.roles.get(login)?.roles ?? [];
  const member = present.members.find((one) => one.login === login);
  if (member !== undefined) {
    await client.members.change(member.id, { roles });
    return null;
  }
  const before = present.invitations.get(login);
  if (before !== undefined) await client.members.uninvite(before.id);
  const { url, expiresAt } = await client.members.invite({ login, roles });
  return { invited: login, url, expiresAt };
}

function withoutKind({ kind: _kind, ...document }: { kind: string }): object {
  return document;
}

function assertSame(kind: string, name: string, before: JsonObject, now: JsonObject): void {
  if (canonicalJson(before) === canonicalJson(now)) return;
  throw new KosError({
    code: `${kind}_changed`,
    message: `The ${kind} "${name}" was changed while this was under way.`,
    fix: 'Repeat: what is done already is done once.',
    status: 409,
  });
}
