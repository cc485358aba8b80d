import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;
let home: string;
let folder: string;
beforeAll(async () => {
  api = await makeTestApi({ realRuns: true });
  await api.makeSession({ roles: ['operator'], login: 'ada@kos.example' });
});
afterAll(() => api.close());
beforeEach(async () => {
  home = await makeHome(api);
  folder = await mkdtemp(join(tmpdir(), 'kos-files-'));
  return () => rm(folder, { recursive: true, force: true });
});

const kai = (...words: string[]): Promise<KaiResult> => runKai(words, { home, cwd: folder });
const write = async (files: Record<string, string>): Promise<void> => {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
};
interface Applied {
  changes: { kind: string; name: string; action: string; applied: boolean }[];
  others: { kind: string; name: string }[];
  made: { trigger?: string; webhook?: string; secret?: string; invited?: string; url: string }[];
}
const apply = async (...words: string[]): Promise<Applied> => {
  const { code, stdout, stderr } = await kai('apply', '-f', '.', '--yes', '--json', ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Applied;
};
const said = ({ changes }: Applied): string[] => changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`);
const changesOnRecord = async (): Promise<number> => Number((await api.rig.system.sql<{ count: string }[]>`select count(*) from kos.audit_entries`)[0]?.count);

/** The caller stands before what it calls, in the alphabet too. */
const whole = {
  'plans/a-caller.plan.yaml': 'plan: a-caller\nsteps:\n  call: { plan: tidy, with: { path: /tmp } }\n',
  'plans/tidy.plan.yaml':
    '# what it is for\nplan: tidy\ninput: { type: object, required: [path], properties: { path: { type: string } } }\nsteps:\n  only: { transform: "${input.path}" }\n',
  'nightly.yaml': 'kind: schedule\nname: nightly\nplan: tidy\ninput: { path: /var/log }\nspec: { cron: ["30 2 * * *"], timezone: Europe/Berlin }\n',
  'hook.yaml': 'kind: trigger\nname: hook\nplan: a-caller\nscheme: github\nfilter: body.action == "opened"\n',
  'settings.yaml': 'kind: settings\negress: [api.example.com:443]\nretention: { runsDays: 30, eventsDays: 30 }\n',
  'rule.yaml': 'kind: rule\nname: small\ntool: fs.write\nwhen: size(arguments.content) < 1000\n',
  'billing.yaml': 'kind: webhook\nname: billing\nurl: https://billing.example/kos\nevents: [run.succeeded, run.failed]\nplan: tidy\n',
  'roles.yaml': 'kind: roles\nmembers:\n  ada@kos.example: [operator, approver]\n  grace@kos.example: [viewer]\n',
};

describe('files and the real API', () => {
  it('make a workspace what they say, in an order that works, and a second time change nothing', async () => {
    await write(whole);
    const dry = await kai('apply', '-f', '.', '--dry-run');
    expect({ code: dry.code, stderr: dry.stderr }).toEqual({ code: 9, stderr: expect.stringContaining('left alone') as string });
    expect(dry.stdout).toContain('7 to make, 2 to change, 0 to remove');
    expect((await api.call('GET', '/v1/plans')).body.items).toEqual([]);

    const applied = await apply();
    expect(said(applied)).toEqual([
      'change settings settings',
      'create plan tidy',
      'create plan a-caller',
      'create rule small',
      'create schedule nightly',
      'create trigger hook',
      'create webhook billing',
      'change roles ada@kos.example',
      'create roles grace@kos.example',
    ]);
    expect(applied.made).toMatchObject([
      { trigger: 'hook', secret: expect.any(String) as string },
      { webhook: 'billing', secret: expect.stringMatching(/^whsec_/) as string },
      { invited: 'grace@kos.example' },
    ]);
    const members = (await api.call('GET', '/v1/members')).body.items;
    expect(members.find(({ login }) => login === 'ada@kos.example')).toMatchObject({ roles: ['operator', 'approver'] });

    const again = await kai('apply', '-f', '.', '--dry-run');
    expect({ code: again.code, stdout: again.stdout }).toEqual({ code: 0, stdout: 'No changes.\n' });
    const before = await changesOnRecord();
    expect((await apply()).changes).toEqual([]);
    expect(await changesOnRecord()).toBe(before);
  });

  it('come out of an export as they went in', async () => {
    const exported = await kai('export', 'kos');
    expect(exported.code).toBe(0);
    expect((await readdir(join(folder, 'kos'), { recursive: true })).toSorted()).toEqual([
      'plans',
      'plans/a-caller.plan.yaml',
      'plans/tidy.plan.yaml',
      'roles.yaml',
      'rules',
      'rules/small.yaml',
      'schedules',
      'schedules/nightly.yaml',
      'settings.yaml',
      'triggers',
      'triggers/hook.yaml',
      'webhooks',
      'webhooks/billing.yaml',
    ]);
    expect(await readFile(join(folder, 'kos/schedules/nightly.yaml'), 'utf8')).toBe(
      'kind: schedule\nname: nightly\nplan: tidy\ninput:\n  path: /var/log\nspec:\n  cron:\n    - 30 2 * * *\n  timezone: Europe/Berlin\n',
    );
    expect(await kai('apply', '-f', 'kos', '--dry-run')).toMatchObject({ code: 0, stdout: 'No changes.\n' });
  });

  it('leave files that say the same, and are not overwritten without being asked', async () => {
    const schedule = `# why\n${whole['nightly.yaml']}`;
    await write({ 'kos/hand-made/nightly.yaml': schedule, 'kos/hook.yaml': whole['hook.yaml'].replace('opened', 'closed') });
    const refused = await kai('export', 'kos', '--only', 'schedules,triggers');
    expect(refused).toMatchObject({ code: 6, stderr: expect.stringContaining('kos/hook.yaml') as string });
    expect(await kai('export', 'kos', '--only', 'schedules,triggers', '--overwrite')).toMatchObject({ code: 0, stdout: 'kos/hook.yaml\n' });
    expect(await readFile(join(folder, 'kos/hand-made/nightly.yaml'), 'utf8')).toBe(schedule);
    expect(await readFile(join(folder, 'kos/hook.yaml'), 'utf8')).toContain('opened');
  });

  it('are refused whole, every culprit with its file and line, and nothing is written', async () => {
    const before = await changesOnRecord();
    await write({
      'good.plan.yaml': 'plan: good\nsteps:\n  one: { transform: 1 }\n',
      'bad.plan.yaml': 'plan: bad\nsteps:\n  one: { tool: no.such.tool }\n',
      'ring.plan.yaml': 'plan: ring\nsteps:\n  call: { plan: round }\n',
      'round.plan.yaml': 'plan: round\nsteps:\n  call: { plan: ring }\n',
      'form.yaml': 'kind: schedule\nname: form\nplan: tidy\nspec: { cron: ["0 9 * * *"], timezon: UTC }\n',
      'input.yaml': 'kind: schedule\nname: input\nplan: tidy\ninput:\n  path: 5\nspec: { cron: ["61 9 * * *"] }\n',
      'plan.yaml': 'kind: trigger\nname: plan\nplan: tydi\nscheme: bearer\nsecret: sixteen-characters\n',
      'filter.yaml': 'kind: trigger\nname: filter\nplan: good\nscheme: stripe\nfilter: steps.x == 1\n',
      'roles.yaml': 'kind: roles\nmembers:\n  grace@kos.example: [boss]\n',
    });
    const { code, stderr, stdout } = await kai('apply', '-f', '.', '--yes');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    for (const place of [
      'bad.plan.yaml:3:',
      'form.yaml:4:',
      'input.yaml:5:',
      'input.yaml:6:',
      'plan.yaml:5:',
      'filter.yaml:4:',
      'filter.yaml:5:',
      'roles.yaml:3:',
    ])
      expect(stderr).toContain(place);
    expect(stderr).toContain('nothing was changed');
    expect(stderr).not.toContain('good.plan.yaml');
    expect(await changesOnRecord()).toBe(before);
  });

  it('keep a trigger’s secret, and take that of a new one from beside the files', async () => {
    const secretOf = async (name: string): Promise<string | undefined> =>
      (await api.rig.system.sql<{ secret: Buffer }[]>`select secret from kos.triggers where name = ${name}`)[0]?.secret.toString('hex');
    const before = await secretOf('hook');
    await write({
      'hook.yaml': whole['hook.yaml'].replace('opened', 'closed'),
      'paid.yaml': 'kind: trigger\nname: paid\nplan: tidy\nscheme: stripe\ninput: { path: "${body.id}" }\nenabled: false\n',
    });
    const { code, stdout } = await runKai(['apply', '-f', '.', '--yes', '--secrets', '-'], { home, cwd: folder, input: 'paid: whsec_0123456789abcdef\n' });
    expect(code).toBe(0);
    expect(stdout).not.toContain('whsec_');
    expect(await secretOf('hook')).toBe(before);
    const paid = await api.call('GET', '/v1/triggers?name=paid');
    expect(paid.body.items).toMatchObject([{ scheme: 'stripe', enabled: false }]);
    expect(await kai('apply', '-f', '.', '--dry-run')).toMatchObject({ code: 0 });
  });

  it('keep a channel’s address out of them, and move it to another host when that is asked for', async () => {
    const channels = async () => (await api.call('GET', '/v1/channels')).body.items;
    const withAddress = async (address: string): Promise<KaiResult> =>
      await runKai(['apply', '-f', 'on-call.yaml', '--yes', '--secrets', '-'], { home, cwd: folder, input: `channel/on-call: ${address}\n` });
    await write({ 'on-call.yaml': 'kind: channel\nname: on-call\nform: slack\ntopics: [run.failed]\n' });
    expect(await kai('apply', '-f', '.', '--yes')).toMatchObject({ code: 1, stderr: expect.stringContaining('on-call.yaml:2:') as string });
    const made = await withAddress('https://hooks.slack.example/services/hidden');
    expect({ code: made.code, told: made.stdout + made.stderr }).toEqual({ code: 0, told: expect.not.stringContaining('hidden') as string });
    expect(await channels()).toMatchObject([{ name: 'on-call', kind: 'slack', host: 'hooks.slack.example', topics: ['run.failed'], enabled: true }]);
    await kai('export', 'kos', '--only', 'channels');
    expect(await readFile(join(folder, 'kos/channels/on-call.yaml'), 'utf8')).toBe(
      'kind: channel\nname: on-call\nform: slack\nhost: hooks.slack.example\ntopics:\n  - run.failed\n',
    );
    await write({ 'on-call.yaml': 'kind: channel\nname: on-call\nform: discord\nhost: chat.example\nenabled: false\n' });
    expect(await withAddress('https://chat.example/api/webhooks/hidden')).toMatchObject({ code: 0 });
    expect(await channels()).toMatchObject([{ name: 'on-call', kind: 'discord', host: 'chat.example', enabled: false, topics: { length: 4 } }]);
    expect(await kai('apply', '-f', 'on-call.yaml', '--dry-run')).toMatchObject({ code: 0, stdout: 'No changes.\n' });
  });

  it('keep a webhook’s secret whatever else changes, and set the next version of a rule', async () => {
    const secretOf = async (): Promise<string | undefined> =>
      (await api.rig.system.sql<{ secret: Buffer }[]>`select secret from kos.webhooks where name = 'billing'`)[0]?.secret.toString('hex');
    const before = await secretOf();
    await write({
      'billing.yaml': whole['billing.yaml'].replace('run.failed', 'run.cancelled').concat('enabled: false\n'),
      'rule.yaml': whole['rule.yaml'].replace('1000', '500').concat('description: drafts\n'),
    });
    expect(said(await apply())).toEqual(['change rule small', 'change webhook billing']);
    expect(await secretOf()).toBe(before);
    const [billing] = (await api.call('GET', '/v1/webhooks')).body.items;
    expect(billing).toMatchObject({ events: ['run.succeeded', 'run.cancelled'], plan: 'tidy', enabled: false });
    expect((await api.call('GET', '/v1/approval-rules')).body.items).toMatchObject([{ name: 'small', version: 2, description: 'drafts' }]);
    await rm(join(folder, 'rule.yaml'));
    await write({ 'other.yaml': 'kind: rule\nname: other\ntool: fs.write\nwhen: "false"\n' });
    expect(said(await apply('--prune', '--only', 'rules'))).toEqual(['create rule other', 'remove rule small']);
  });

  it('take away with --prune what stands in no file, of the kinds that they speak of, and nothing that is in use', async () => {
    await write({ 'plans/tidy.plan.yaml': whole['plans/tidy.plan.yaml'] });
    const used = await kai('apply', '-f', '.', '--prune', '--yes');
    expect(used).toMatchObject({ code: 6, stderr: expect.stringContaining('trigger hook starts a-caller') as string });
    await write({ 'paid.yaml': 'kind: trigger\nname: paid\nplan: tidy\nscheme: stripe\ninput: { path: "${body.id}" }\n' });
    expect(said(await apply('--prune'))).toEqual(['remove trigger hook', 'remove plan a-caller']);
    expect((await api.call('GET', '/v1/schedules')).body.items).toHaveLength(1);
    expect((await api.call('GET', '/v1/triggers?name=paid')).body.items).toMatchObject([{ enabled: false }]);
  });

  it('ask no one to write who only looks, and write nothing for who may not write all of it', async () => {
    await write({
      'plans/tidy.plan.yaml': whole['plans/tidy.plan.yaml'].replace('transform: "${input.path}"', 'transform: "in ${input.path}"'),
      'nightly.yaml': `${whole['nightly.yaml']}overlap: allowAll\n`,
    });
    const reader = await makeHome({
      url: api.url,
      apiKey: (await api.makeKey({ roles: ['operator'], scopes: ['plans:read', 'plans:write', 'schedules:read'] })).apiKey,
    });
    const dry = await runKai(['apply', '-f', '.', '--dry-run'], { home: reader, cwd: folder });
    expect(dry).toMatchObject({ code: 9, stderr: expect.stringContaining('schedules:write') as string });
    expect(dry.stdout).toContain('overlap: "skip" → "allowAll"');
    const before = await changesOnRecord();
    expect(await runKai(['apply', '-f', '.', '--yes'], { home: reader, cwd: folder })).toMatchObject({ code: 4 });
    expect(await changesOnRecord()).toBe(before);
    expect(await kai('apply', '-f', '.')).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') as string });
  });

  it('show what a plan would do otherwise, with the plans that it is to run', async () => {
    await write({
      'tidy.yaml': whole['plans/tidy.plan.yaml'].replace('steps:\n', 'steps:\n  first: { plan: before }\n'),
      'before.yaml': 'plan: before\nsteps:\n  only: { transform: 1 }\n',
    });
    const { code, stdout } = await kai('apply', '-f', '.', '--dry-run', '--json');
    expect(code).toBe(9);
    expect(JSON.parse(stdout)).toMatchObject({
      dryRun: true,
      changes: [
        { kind: 'plan', name: 'before', action: 'create' },
        { kind: 'plan', name: 'tidy', action: 'change', file: 'tidy.yaml', plan: { steps: [{ id: 'first', change: 'added' }] } },
      ],
    });
  });

  it('that fail half-way say what was changed, and show what was made', async () => {
    await api.call('POST', '/v1/plans', { body: { source: 'plan: busy\nsteps:\n  only: { transform: 1 }\n' } });
    await api.call('POST', '/v1/runs', { body: { plan: 'busy', input: {} }, headers: { 'idempotency-key': 'busy' } });
    await write({
      'tidy.yaml': whole['plans/tidy.plan.yaml'],
      'other.yaml': 'kind: trigger\nname: other\nplan: tidy\nscheme: bearer\ninput: { path: "${body.path}" }\n',
    });
    const { code, stdout, stderr } = await kai('apply', '-f', '.', '--only', 'plans,triggers', '--prune', '--yes');
    expect(code).toBe(6);
    expect(stdout).toMatch(/trigger other\n {2}address {2}\S+\n {2}secret {3}\S{20,}\n/);
    expect(stderr).toMatch(/plan busy could not be changed. Changed before it: \d+; not changed: 1/);
    expect((await api.call('GET', '/v1/triggers?name=other')).body.items).toHaveLength(1);
  });
});
