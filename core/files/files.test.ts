import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readText } from '#core/plan/source.ts';
import { jsonObjectSchema } from '#schemas/json.ts';
import type { ApprovalRule } from '#schemas/approval-rule.ts';
import type { Channel } from '#schemas/channel.ts';
import type { Schedule } from '#schemas/schedule.ts';
import type { Trigger } from '#schemas/trigger.ts';
import type { Webhook } from '#schemas/webhook.ts';
import { checkWanted } from './check.ts';
import { compare } from './compare.ts';
import {
  channelDocument,
  rolesDocument,
  ruleDocument,
  scheduleDocument,
  settingsDocument,
  shortened,
  textOfDocument,
  triggerDocument,
  webhookDocument,
} from './documents.ts';
import { inCallOrder } from './order.ts';
import type { Present } from './present.ts';
import { readFiles } from './wanted.ts';

const nothing: Present = {
  settings: null,
  plans: new Map(),
  documents: new Map(),
  schedules: new Map(),
  triggers: new Map(),
  webhooks: new Map(),
  channels: new Map(),
  rules: new Map(),
  tools: [],
  members: [],
  invitations: new Map(),
};
const files = (texts: Record<string, string>) => readFiles(Object.entries(texts).map(([path, text]) => ({ path, text })));
const places = (texts: Record<string, string>) => files(texts).faults.map(({ path, fault }) => `${path}:${fault.line}: ${fault.message}`);
const wanted = (texts: Record<string, string>) => {
  const read = files(texts);
  expect(read.faults).toEqual([]);
  return read.wanted;
};
const changes = (texts: Record<string, string>, present: Partial<Present>, prune = false) =>
  compare(wanted(texts), { ...nothing, ...present }, { prune }).changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`);

const plan = (name: string, calls: string[] = []): string =>
  `plan: ${name}\nsteps:\n  one: { transform: 1 }\n${calls.map((call, index) => `  call${index}: { plan: ${call} }\n`).join('')}`;
const savedPlan = (name: string, digest = '0') => ({ name, version: 1, digest });
const named = <Item extends { name: string }>(...items: Item[]): Map<string, Item> => new Map(items.map((item) => [item.name, item]));

const spec: Schedule['spec'] = { cron: ['0 9 * * *'], calendars: [], intervals: [], except: [], timezone: 'UTC', jitterMs: 0, startAt: null, endAt: null };
const schedule = (more: Partial<Schedule> = {}): Schedule => ({
  id: 'sch_01a1fbed-3526-70db-9986-2f479f032b1e',
  name: 'daily',
  plan: 'a',
  input: {},
  labels: {},
  priority: null,
  spec,
  overlap: 'skip',
  catchupWindowMs: 31_536_000_000,
  pauseOnFailure: false,
  runsAtMost: null,
  paused: false,
  note: null,
  runsLeft: null,
  createdBy: 'prn_a',
  grant: ['runs:start'],
  createdAt: '',
  updatedAt: '',
  reading: '',
  next: [],
  last: [],
  missed: 0,
  pendingSync: null,
  ...more,
});
const trigger = (more: Partial<Trigger> = {}): Trigger => ({
  id: 'trg_01a1fbed-3526-70db-9986-2f479f032b1e',
  name: 'hook',
  url: '',
  plan: 'a',
  labels: {},
  priority: null,
  scheme: 'github',
  publicKeys: [],
  filter: null,
  input: {},
  private: { headers: [], body: [] },
  enabled: true,
  note: null,
  createdBy: 'prn_a',
  grant: [],
  createdAt: '',
  updatedAt: '',
  previousSecretUntil: null,
  refused: 0,
  lastRefusal: null,
  deduplication: '',
  ...more,
});
const told = { enabled: true, note: null, pending: 0, failed: 0, createdBy: 'prn_a', grant: [], createdAt: '', updatedAt: '' };
const webhook = (more: Partial<Webhook> = {}): Webhook => ({
  id: 'whk_01a1fbed-3526-70db-9986-2f479f032b1e',
  name: 'billing',
  url: 'https://billing.example/kos',
  events: ['run.failed', 'run.succeeded'],
  plan: null,
  previousSecretUntil: null,
  ...told,
  ...more,
});
const channel = (more: Partial<Channel> = {}): Channel => ({
  id: 'chn_01a1fbed-3526-70db-9986-2f479f032b1e',
  name: 'on-call',
  kind: 'slack',
  host: 'hooks.slack.example',
  topics: ['run.failed', 'approval.requested', 'step.uncertain', 'schedule.missed'],
  plan: null,
  ...told,
  ...more,
});
const rule = (more: Partial<ApprovalRule> = {}): ApprovalRule => ({
  name: 'small',
  version: 1,
  tool: 'fs.write',
  when: 'size(arguments.content) < 10',
  description: null,
  removed: false,
  createdBy: 'prn_a',
  createdAt: '',
  ...more,
});
const billing = 'kind: webhook\nname: billing\nurl: https://billing.example/kos\nevents: [run.succeeded, run.failed]\n';
const onCall = 'kind: channel\nname: on-call\nform: slack\n';
const small = 'kind: rule\nname: small\ntool: fs.write\nwhen: size(arguments.content) < 10\n';
const daily = 'kind: schedule\nname: daily\nplan: a\nspec: { cron: ["0 9 * * *"] }\n';
const hook = 'kind: trigger\nname: hook\nplan: a\nscheme: github\n';
const member = (login: string | null, roles: Present['members'][number]['roles'], name = 'Ada') => ({
  id: 'prn_a',
  name,
  login,
  roles,
  disabled: false,
  joinedAt: '',
});

/** As the API keeps it; without the key that no file may have, and with numbers that are exact. */
const keptInput = (given: object): Schedule['input'] =>
  jsonObjectSchema.parse(
    JSON.parse(JSON.stringify(given), (_, value: unknown) => {
      if (typeof value === 'number') return Math.trunc(value % 1e9);
      return typeof value === 'object' && value !== null && '<<' in value ? {} : value;
    }),
  );

describe('reading files', () => {
  it('says of each what it is not', () => {
    expect(
      places({
        'a.yaml': 'name: x\n',
        'b.yaml': 'kind: shedule\n',
        'c.yaml': `${daily}overlapp: skip\n`,
        'd.yaml': `${hook}secret: x\n`,
        'd2.yaml': `${onCall}url: https://hooks.slack.example/x\n`,
        'd3.yaml': `${billing}secret: x\n`,
        'd4.yaml': billing.replace('run.failed', 'run.exploded'),
        'e.yaml': 'kind: plan\nplan: x\n',
        'f.yaml': daily,
        'g.yaml': daily,
        'h.json': '{ "kind": "roles", "members": { "ada": [] } }',
        'i.yaml': 'kind: settings\n---\nkind: settings\n',
        'j.yaml': 'kind: roles\nmembers:\n  Ada: [viewer]\n  ada: [owner]\n',
        'k.yaml': 'kind: roles\nmembers: { ada: [viewer] }\n',
      }),
    ).toEqual([
      'a.yaml:1: the file does not say what it is',
      'b.yaml:1: there is no kind "shedule"',
      'c.yaml:5: unknown key "overlapp"',
      'd.yaml:5: no secret stands in a file',
      'd2.yaml:4: the address of a channel is a secret, and no secret stands in a file',
      'd3.yaml:5: no secret stands in a file',
      expect.stringMatching(/^d4\.yaml:4: /) as string,
      'e.yaml:1: there is no kind "plan"',
      'g.yaml:2: the schedule "daily" stands in f.yaml already',
      expect.stringMatching(/^h\.json:1: too small/) as string,
      'i.yaml:2: there must be one YAML document, and another begins here',
      'j.yaml:2: two logins are the same but for upper and lower case',
      'k.yaml:2: the login "ada" stands in j.yaml already',
    ]);
  });

  it('reads back what is written, whatever it holds', () => {
    const input = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { noNullPrototype: true });
    fc.assert(
      fc.property(input, fc.boolean(), (given, paused) => {
        const clean = keptInput(given);
        const present = schedule({ input: clean, paused, labels: { team: 'a' }, priority: 2 });
        const text = textOfDocument(scheduleDocument(present));
        const read = readText(text);
        expect(read).toMatchObject({ ok: true, document: shortened(scheduleDocument(present)) });
        expect(changes({ 'a.yaml': text }, { schedules: named(present) })).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });
});

describe('comparing', () => {
  it('finds no change in what an export has written', () => {
    const settings = { roots: [{ path: '/srv', write: true }], egress: ['b:1', 'a:1'], runsAtOnce: null, retention: { runsDays: 1, eventsDays: 2 } };
    const members = [member('ada@kos.example', ['approver', 'operator']), member(null, ['owner'])];
    const hidden = trigger({ enabled: false, filter: 'body.x == 1', private: { headers: ['x-key'], body: [] } });
    const texts = {
      's.yaml': textOfDocument(settingsDocument(settings)),
      't.yaml': textOfDocument(triggerDocument(hidden)),
      'r.yaml': textOfDocument(rolesDocument(members) ?? {}),
      'd.yaml': textOfDocument(scheduleDocument(schedule({ paused: true }))),
      'w.yaml': textOfDocument(webhookDocument(webhook({ plan: 'a', enabled: false }))),
      'c.yaml': textOfDocument(channelDocument(channel())),
      'u.yaml': textOfDocument(ruleDocument(rule({ when: null, description: 'safe' }))),
    };
    expect(texts['c.yaml']).toBe('kind: channel\nname: on-call\nform: slack\nhost: hooks.slack.example\n');
    const present = {
      settings,
      members,
      triggers: named(hidden),
      schedules: named(schedule({ paused: true })),
      webhooks: named(webhook({ plan: 'a', enabled: false })),
      channels: named(channel()),
      rules: named(rule({ when: null, description: 'safe' })),
    };
    expect(changes(texts, present)).toEqual([]);
  });

  it('takes a default that is written out for what it is, and names the fields that differ', () => {
    const text = `${daily}overlap: skip\nlabels: {}\ninput: { days: 3 }\n`;
    const [change] = compare(wanted({ 'a.yaml': text }), { ...nothing, schedules: named(schedule({ input: { days: 2 } })) }, { prune: false }).changes;
    expect(change).toEqual({ kind: 'schedule', name: 'daily', action: 'change', path: 'a.yaml', fields: [{ field: 'input.days', from: 2, to: 3 }] });
  });

  it('leaves a schedule paused and a trigger disabled unless a file says otherwise', () => {
    const present = { schedules: named(schedule({ paused: true })), triggers: named(trigger({ enabled: false })) };
    expect(changes({ 'a.yaml': daily, 'b.yaml': hook }, present)).toEqual([]);
    expect(changes({ 'a.yaml': `${daily}paused: false\n`, 'b.yaml': `${hook}enabled: true\n` }, present)).toEqual([
      'change schedule daily',
      'change trigger hook',
    ]);
  });

  it('takes what webhooks and channels tell of for sets, and leaves what a file does not say of them', () => {
    const texts = { 'w.yaml': billing, 'c.yaml': `${onCall}topics: [approval.requested, run.failed]\n`, 'u.yaml': small };
    const present = {
      webhooks: named(webhook({ enabled: false })),
      channels: named(channel({ topics: ['run.failed', 'approval.requested'], enabled: false })),
      rules: named(rule()),
    };
    expect(changes(texts, present)).toEqual([]);
    const others = {
      webhooks: named(webhook({ events: ['run.failed'] })),
      channels: named(channel({ plan: 'a' })),
      rules: named(rule({ when: null })),
    };
    const found = compare(wanted(texts), { ...nothing, ...others }, { prune: false }).changes;
    expect(found.map(({ kind, fields }) => [kind, fields.map(({ field }) => field)])).toEqual([
      ['rule', ['when']],
      ['webhook', ['events']],
      ['channel', ['plan', 'topics']],
    ]);
  });

  it('of settings looks at those that are named', () => {
    const settings = { roots: [], egress: ['b:1', 'a:1'], runsAtOnce: null, retention: { runsDays: 1, eventsDays: 2 } };
    expect(changes({ 'a.yaml': 'kind: settings\negress: [a:1, b:1]\n' }, { settings })).toEqual([]);
    expect(changes({ 'a.yaml': 'kind: settings\negress: []\n' }, { settings })).toEqual(['change settings settings']);
  });

  it('orders changes so that each finds what it needs, and roles come last', () => {
    const texts = {
      'r.yaml': 'kind: roles\nmembers: { ada: [viewer] }\n',
      'd.yaml': daily,
      'h.yaml': hook,
      'u.yaml': small,
      'w.yaml': billing,
      'o.yaml': onCall,
      'a.yaml': plan('a', ['b@1']),
      'b.yaml': plan('b', ['c']),
      'c.yaml': plan('c'),
      's.yaml': 'kind: settings\negress: []\n',
    };
    expect(changes(texts, { settings: { roots: [], egress: ['a:1'], runsAtOnce: 5, retention: { runsDays: 1, eventsDays: 1 } } })).toEqual([
      'change settings settings',
      'create plan c',
      'create plan b',
      'create plan a',
      'create rule small',
      'create schedule daily',
      'create trigger hook',
      'create webhook billing',
      'create channel on-call',
      'create roles ada',
    ]);
  });

  it('removes with --prune, users first, only of the kinds that files speak of, and no member', () => {
    const present = {
      plans: named(savedPlan('a'), savedPlan('old'), savedPlan('older')),
      documents: new Map([['old', { steps: { call: { plan: 'older' } } }]]),
      schedules: named(schedule({ name: 'gone' })),
      triggers: named(trigger({ name: 'kept' })),
      webhooks: named(webhook({ name: 'gone' })),
      rules: named(rule({ name: 'kept' })),
      members: [member('grace', ['owner'])],
    };
    const texts = { 'a.yaml': plan('a'), 'd.yaml': daily, 'w.yaml': billing, 'r.yaml': 'kind: roles\nmembers: { ada: [viewer] }\n' };
    const { changes: all, others } = compare(wanted(texts), { ...nothing, ...present }, { prune: true });
    expect(all.filter(({ action }) => action === 'remove').map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'webhook gone',
      'schedule gone',
      'plan old',
      'plan older',
    ]);
    expect(others).toEqual([{ kind: 'roles', name: 'grace' }]);
    expect(compare(wanted(texts), { ...nothing, ...present }, { prune: false }).others.map(({ name }) => name)).toEqual([
      'old',
      'older',
      'gone',
      'gone',
      'grace',
    ]);
  });

  it('invites who is no member, and once', () => {
    const texts = { 'r.yaml': 'kind: roles\nmembers: { ada: [viewer, operator] }\n' };
    const invitation = (roles: ('viewer' | 'operator')[]) =>
      new Map([['ada', { id: 'lnk_a', login: 'ada', roles, createdBy: '', createdAt: '', expiresAt: '' }]]);
    expect(changes(texts, {})).toEqual(['create roles ada']);
    expect(changes(texts, { invitations: invitation(['viewer']) })).toEqual(['create roles ada']);
    expect(changes(texts, { invitations: invitation(['operator', 'viewer']) })).toEqual([]);
    expect(changes(texts, { members: [member('ada', ['operator', 'viewer'])] })).toEqual([]);
  });
});

describe('the order of plans', () => {
  it('has each after those that it calls, rings or not', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const calls = fc.record(Object.fromEntries(names.map((name) => [name, fc.subarray(names)])));
    fc.assert(
      fc.property(calls, (graph) => {
        const ordered = inCallOrder(names.map((name) => ({ name, calls: graph[name] ?? [] })));
        expect(ordered.toSorted()).toEqual(names);
        // Without what points back in the alphabet there is no ring.
        const forward = (name: string): string[] => (graph[name] ?? []).filter((call) => call > name);
        const straight = inCallOrder(names.map((name) => ({ name, calls: forward(name) })));
        for (const name of names) for (const call of forward(name)) expect(straight.indexOf(call)).toBeLessThan(straight.indexOf(name));
      }),
    );
  });
});

describe('checking', () => {
  const faults = (
    texts: Record<string, string>,
    present: Partial<Present>,
    more: { prune?: boolean; ownRoles?: 'admin'[]; secrets?: Record<string, string> } = {},
  ) =>
    checkWanted(
      wanted(texts),
      { ...nothing, ...present },
      { prune: more.prune ?? false, ownRoles: more.ownRoles ?? ['admin'], secrets: new Map(Object.entries(more.secrets ?? {})) },
    ).map(({ path, fault }) => `${path}:${fault.line}: ${fault.message}`);

  it('finds a plan in the files or in the workspace, in the version that is named', () => {
    const present = { plans: named(savedPlan('a')), documents: new Map([['a', {}]]) };
    expect(faults({ 'd.yaml': daily }, present)).toEqual([]);
    expect(faults({ 'd.yaml': daily, 'a.yaml': plan('a') }, {})).toEqual([]);
    expect(faults({ 'd.yaml': daily.replace('plan: a', 'plan: a@9') }, present)).toEqual([
      'd.yaml:3: there is no plan "a@9", neither in the files nor in this workspace',
    ]);
    // A plan that was removed still answers to its name.
    expect(faults({ 'd.yaml': daily }, { documents: new Map([['a', {}]]) })).toHaveLength(1);
  });

  it('says of a plan that cannot be read once what is wrong', () => {
    const read = files({ 'd.yaml': daily, 'a.yaml': 'plan: a\nsteps: { one: { nothing: 1 } }\n' });
    expect(read.faults.map(({ path }) => path)).toEqual(['a.yaml']);
    expect(checkWanted(read.wanted, nothing, { prune: false, ownRoles: [], secrets: new Map() })).toEqual([]);
  });

  it('holds an input against the plan as it will be', () => {
    const withInput = 'plan: a\ninput: { type: object, properties: { days: { type: integer } } }\nsteps: { one: { transform: 1 } }\n';
    const present = { plans: named(savedPlan('a')), documents: new Map([['a', {}]]) };
    expect(faults({ 'd.yaml': `${daily}input: { days: 3 }\n`, 'a.yaml': withInput }, present)).toEqual([]);
    expect(faults({ 'd.yaml': `${daily}input: { days: x }\n`, 'a.yaml': withInput }, present)).toHaveLength(1);
    expect(faults({ 'd.yaml': `${daily}input: { days: 3 }\n` }, present)).toEqual(['d.yaml:5: the plan takes no input']);
  });

  it('refuses what a trigger cannot be', () => {
    const texts = { 'a.yaml': plan('a'), 'h.yaml': hook.replace('github', 'slack') };
    expect(faults(texts, {})).toEqual(['h.yaml:4: Slack makes the secret, and "hook" is new here']);
    expect(faults(texts, {}, { secrets: { hook: 'whsec_0123456789abcdef' } })).toEqual([]);
    expect(faults(texts, { triggers: named(trigger()) })).toEqual(['h.yaml:4: the trigger "hook" knows its sender by github, and its secret belongs to that']);
  });

  it('asks for the address of a channel beside the files, and says nothing of it', () => {
    const address = 'https://hooks.slack.example/services/hidden';
    expect(faults({ 'c.yaml': onCall }, {})).toEqual(['c.yaml:2: the address of a channel is a secret, and "on-call" is new here']);
    expect(faults({ 'c.yaml': onCall }, {}, { secrets: { 'on-call': address } })).toEqual([]);
    expect(faults({ 'c.yaml': onCall }, {}, { secrets: { 'on-call': 'xoxb-hidden', 'channel/on-call': address } })).toEqual([]);
    expect(faults({ 'c.yaml': onCall }, {}, { secrets: { 'on-call': 'xoxb-hidden' } })).toEqual([
      'c.yaml:2: what is given for "on-call" beside the files is no address',
    ]);
    const moved = { 'c.yaml': `${onCall}host: chat.example\n` };
    expect(faults(moved, { channels: named(channel()) })).toEqual([
      'c.yaml:4: the address of "on-call" leads to hooks.slack.example, and another one is a secret',
    ]);
    expect(faults(moved, {}, { secrets: { 'on-call': address } })).toEqual(['c.yaml:4: the address that is given for "on-call" leads to hooks.slack.example']);
    expect(faults(moved, { channels: named(channel()) }, { secrets: { 'on-call': 'https://chat.example/x' } })).toEqual([]);
  });

  it('holds a rule against the tools that there are', () => {
    const tools = [
      { name: 'fs.write', alwaysAsk: false, inputSchema: { type: 'object', properties: { content: { type: 'string' } }, additionalProperties: false } },
    ];
    expect(faults({ 'u.yaml': small }, { tools })).toEqual([]);
    expect(faults({ 'u.yaml': small.replace('fs.write', 'fs.wirte') }, { tools })).toEqual(['u.yaml:3: there is no tool "fs.wirte"']);
    expect(faults({ 'u.yaml': small.replace('content', 'contents') }, { tools })).toEqual([expect.stringMatching(/^u\.yaml:4: /)]);
  });

  it('refuses a plan that --prune would remove from under its users', () => {
    const present = { plans: named(savedPlan('a'), savedPlan('b')), documents: new Map([['a', {}]]) };
    const texts = { 'd.yaml': daily, 'c.yaml': plan('c', ['b']) };
    expect(faults(texts, present)).toEqual([]);
    expect(faults(texts, present, { prune: true })).toEqual([
      'c.yaml:4: the plan "b" stands in no file, and --prune would remove it',
      'd.yaml:3: the plan "a" stands in no file, and --prune would remove it',
    ]);
  });

  it('refuses roles beyond one’s own, and to leave no owner', () => {
    const members = [member('ada', ['owner']), member('grace', ['viewer'])];
    const roles = (text: string) => ({ 'r.yaml': `kind: roles\nmembers:\n${text}` });
    expect(faults(roles('  grace: [operator]\n  ada: [owner]\n'), { members })).toEqual([]);
    expect(faults(roles('  grace: [owner]\n'), { members })).toEqual(['r.yaml:3: only who holds the role owner may change the roles of grace so']);
    expect(faults(roles('  ada: [viewer]\n'), { members })).toEqual([
      'r.yaml:3: only who holds the role owner may change the roles of ada so',
      'r.yaml:3: that would leave this workspace without an owner',
    ]);
  });
});
