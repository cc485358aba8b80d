import { type FieldChange, changesOf, type Facts, oneLevelDown } from '#core/plan/facts.ts';
import { callsOf, nameOfReference } from '#core/plan/called-plans.ts';
import { canonicalJson } from '#core/expression/values.ts';
import type { FileKind } from '#schemas/files.ts';
import { asJsonObject, type Json, type JsonObject } from '#schemas/json.ts';
import { channelDocument, fileDocument, inOrder, ruleDocument, scheduleDocument, shortened, triggerDocument, webhookDocument } from './documents.ts';
import { inCallOrder } from './order.ts';
import type { Present } from './present.ts';
import type { Wanted, Written } from './wanted.ts';

export interface Named {
  kind: FileKind;
  /** A login where it is about roles. */
  name: string;
}

export interface FileChange extends Named {
  /** `create` of roles: an invitation. */
  action: 'create' | 'change' | 'remove';
  /** Null: it stands in no file, and is removed. */
  path: string | null;
  /** Field by field; none of plans, which have a diff of their own. */
  fields: FieldChange[];
}

export interface Comparison {
  /** In the order in which they can be made. */
  changes: FileChange[];
  unchanged: Named[];
  /** Of the kinds that files speak of, what none of them names and nothing changes. */
  others: Named[];
}

/** What has to change for a workspace to be as files say. `prune`: what no file names is removed, members excepted, of those kinds that files speak of. */
export function compare(wanted: Wanted, present: Present, { prune }: { prune: boolean }): Comparison {
  const found = [
    ...compareSettings(wanted, present),
    ...comparePlans(wanted, present),
    ...compareNamed('rule', wanted.rules, present.rules, ruleDocument),
    ...compareNamed('schedule', wanted.schedules, present.schedules, scheduleDocument),
    ...compareNamed('trigger', wanted.triggers, present.triggers, triggerDocument),
    ...compareNamed('webhook', wanted.webhooks, present.webhooks, webhookDocument),
    ...compareNamed('channel', wanted.channels, present.channels, channelDocument),
  ];
  const roles = compareRoles(wanted, present);
  const unnamed = unnamedOf(wanted, present);
  const removals = prune ? removalsOf(unnamed, present) : [];
  return {
    // Roles come last: they may take from whoever applies the right to change anything else.
    changes: [...found.filter(isChange), ...removals, ...roles.filter(isChange)],
    unchanged: [...found, ...roles].filter((one) => !isChange(one)).map(({ kind, name }) => ({ kind, name })),
    others: prune ? unnamed.filter(({ kind }) => kind === 'roles') : unnamed,
  };
}

type Compared = FileChange | (Named & { action: 'none' });

const isChange = (compared: Compared): compared is FileChange => compared.action !== 'none';

function compareSettings({ settings }: Wanted, { settings: before }: Present): Compared[] {
  if (settings === null || before === null) return [];
  const { kind: _kind, ...document } = settings.document;
  const named = asJsonObject(document);
  const was = Object.fromEntries(Object.entries(asJsonObject(before)).filter(([name]) => name in named));
  return [changed({ kind: 'settings', name: 'settings' }, settings, changesOf(settingsFacts(was), settingsFacts(named)))];
}

/** The lists are sets: their order says nothing. */
const settingsFacts = (settings: JsonObject): Facts =>
  oneLevelDown(Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, Array.isArray(value) ? value.toSorted(byText) : value])));

const byText = (a: Json, b: Json): number => (canonicalJson(a) < canonicalJson(b) ? -1 : 1);

function comparePlans({ plans }: Wanted, present: Present): Compared[] {
  const ordered = inCallOrder([...plans.values()].map(({ name, calls }) => ({ name, calls: calls.map(nameOfReference) })));
  return ordered.flatMap((name): Compared[] => {
    const plan = plans.get(name);
    if (plan === undefined) return [];
    const before = present.plans.get(name);
    if (before === undefined) return [{ kind: 'plan', name, action: 'create', path: plan.path, fields: [] }];
    return [before.digest === plan.digest ? { kind: 'plan', name, action: 'none' } : { kind: 'plan', name, action: 'change', path: plan.path, fields: [] }];
  });
}

const compareNamed = <Shown>(
  kind: FileKind,
  named: ReadonlyMap<string, Written & { document: Parameters<typeof fileDocument>[0] }>,
  present: ReadonlyMap<string, Shown>,
  documentOf: (shown: Shown) => JsonObject,
): Compared[] =>
  [...named].map(([name, written]) => {
    const before = present.get(name);
    return compareDocument({ kind, name }, written, fileDocument(written.document), before === undefined ? null : documentOf(before));
  });

/** What a file does not say of these stays as it is. */
const mayBeUnsaid = ['paused', 'enabled', 'host'];

function compareDocument(about: Named, written: Written, document: JsonObject, before: JsonObject | null): Compared {
  if (before === null) return { ...about, action: 'create', path: written.path, fields: changesOf({}, factsOf(shortened(document))) };
  const compared = Object.fromEntries(Object.entries(before).filter(([key]) => key in document || !mayBeUnsaid.includes(key)));
  return changed(about, written, changesOf(factsOf(compared), factsOf(document)));
}

/** An empty object says no more than none. */
function factsOf({ kind: _kind, name: _name, ...document }: JsonObject): Facts {
  return Object.fromEntries(Object.entries(oneLevelDown(document)).filter(([, value]) => canonicalJson(value) !== '{}'));
}

function compareRoles({ roles }: Wanted, present: Present): Compared[] {
  return [...roles].map(([login, written]): Compared => {
    const about: Named = { kind: 'roles', name: login };
    const member = present.members.find((one) => one.login === login);
    const after = { roles: inOrder(written.roles) };
    if (member !== undefined) return changed(about, written, changesOf({ roles: inOrder(member.roles) }, after));
    const invitation = present.invitations.get(login);
    const fields = changesOf(invitation === undefined ? {} : { roles: inOrder(invitation.roles) }, after);
    return fields.length === 0 ? { ...about, action: 'none' } : { ...about, action: 'create', path: written.path, fields };
  });
}

const changed = (about: Named, { path }: Written, fields: FieldChange[]): Compared =>
  fields.length === 0 ? { ...about, action: 'none' } : { ...about, action: 'change', path, fields };

function unnamedOf(wanted: Wanted, present: Present): Named[] {
  const unnamed = (kind: FileKind, named: ReadonlyMap<string, unknown>, names: Iterable<string>): Named[] =>
    named.size === 0 ? [] : [...names].filter((name) => !named.has(name)).map((name) => ({ kind, name }));
  return [
    ...unnamed('plan', wanted.plans, present.plans.keys()),
    ...unnamed('schedule', wanted.schedules, present.schedules.keys()),
    ...unnamed('rule', wanted.rules, present.rules.keys()),
    ...unnamed('trigger', wanted.triggers, present.triggers.keys()),
    ...unnamed('webhook', wanted.webhooks, present.webhooks.keys()),
    ...unnamed('channel', wanted.channels, present.channels.keys()),
    ...unnamed(
      'roles',
      wanted.roles,
      present.members.map(({ login, name }) => login ?? name),
    ),
  ];
}

/** Users before what they use. Members are removed by people, never because a file does not name them. */
function removalsOf(unnamed: readonly Named[], { documents }: Present): FileChange[] {
  const namesOf = (kind: FileKind): string[] => unnamed.filter((one) => one.kind === kind).map(({ name }) => name);
  const plans = inCallOrder(namesOf('plan').map((name) => ({ name, calls: callsOf(documents.get(name) ?? {}).map(nameOfReference) })));
  const removal = (kind: FileKind, name: string): FileChange => ({ kind, name, action: 'remove', path: null, fields: [] });
  return [
    ...(['rule', 'channel', 'webhook', 'trigger', 'schedule'] as const).flatMap((kind) => namesOf(kind).map((name) => removal(kind, name))),
    ...plans.toReversed().map((name) => removal('plan', name)),
  ];
}
