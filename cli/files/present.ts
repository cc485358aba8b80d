import { KosError } from '#core/errors.ts';
import type { Present } from '#core/files/present.ts';
import { savedReferences } from '#core/files/check.ts';
import type { Wanted } from '#core/files/wanted.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Client, Page } from '../client.ts';
import { parsePlanReference } from '../plan-reference.ts';

/** What is there now. */
export interface Reading {
  present: Present;
  /** Of the settings as they were read; empty: they were not. */
  settingsEtag: string;
}

/** Reads what the files are compared with, and no more: whoever applies schedules needs no right to read settings. */
export async function readPresent(client: Client, wanted: Wanted, { prune }: { prune: boolean }): Promise<Reading> {
  const prunesPlans = prune && wanted.plans.size > 0;
  const startsPlans = wanted.schedules.size + wanted.triggers.size > 0;
  const settings = wanted.settings === null ? null : await client.settings.get();
  const ask = async <Item extends { name: string }>(isWanted: boolean, list: Parameters<typeof all<Item>>[0]): Promise<Map<string, Item>> =>
    isWanted ? byName(await all(list)) : new Map();
  const members = wanted.roles.size > 0 ? await all((query) => client.members.list(query)) : [];
  const plans = await ask(wanted.plans.size > 0 || startsPlans, (query) => client.plans.list(query));
  const isMember = new Set(members.map(({ login }) => login));
  const hasNew = [...wanted.roles.keys()].some((login) => !isMember.has(login));
  const invitations = hasNew ? await all((query) => client.members.invitations(query)) : [];
  const pruned = prunesPlans ? [...plans.keys()].filter((name) => !wanted.plans.has(name)) : [];
  return {
    present: {
      settings: settings?.value ?? null,
      plans,
      documents: await documentsOf(client, plans, [...savedReferences(wanted), ...pruned]),
      schedules: await ask(wanted.schedules.size > 0 || prunesPlans, (query) => client.schedules.list(query)),
      triggers: await ask(wanted.triggers.size > 0 || prunesPlans, (query) => client.triggers.list(query)),
      webhooks: await ask(wanted.webhooks.size > 0, (query) => client.webhooks.list(query)),
      channels: await ask(wanted.channels.size > 0, (query) => client.channels.list(query)),
      rules: await ask(wanted.rules.size > 0, () => client.rules.list()),
      tools: wanted.rules.size > 0 ? (await client.tools()).items : [],
      members,
      invitations: new Map(invitations.map((invitation) => [invitation.login, invitation])),
    },
    settingsEtag: settings?.etag ?? '',
  };
}

/** Every page. */
export async function all<Item>(list: (query: { limit: number; cursor?: string }) => Promise<Page<Item>>): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await list({ limit: 200, ...(cursor === null ? {} : { cursor }) });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return items;
}

export const byName = <Item extends { name: string }>(items: readonly Item[]): Map<string, Item> => new Map(items.map((item) => [item.name, item]));

/** Those that are there: a plan that was removed answers to its name, too. */
async function documentsOf(client: Client, plans: ReadonlyMap<string, unknown>, references: readonly string[]): Promise<Map<string, JsonObject>> {
  const documents = new Map<string, JsonObject>();
  for (const reference of new Set(references)) {
    const { name, version } = parsePlanReference(reference);
    if (!plans.has(name)) continue;
    try {
      documents.set(reference, (await client.plans.get(name, version)).document);
    } catch (error) {
      if (!(error instanceof KosError) || error.status !== 404) throw error;
    }
  }
  return documents;
}
