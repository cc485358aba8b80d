import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { KosError } from '#core/errors.ts';
import type { WorkspaceSettings } from '#schemas/settings.ts';
import type { ShownSettings } from '../client.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { visibleLine } from '../terminal-text.ts';

const numberSettings = {
  'retention.runsDays': ({ retention }, days) => ({ retention: { ...retention, runsDays: days } }),
  'retention.eventsDays': ({ retention }, days) => ({ retention: { ...retention, eventsDays: days } }),
  runsAtOnce: (_settings, runs) => ({ runsAtOnce: runs }),
} as const satisfies Record<string, (settings: WorkspaceSettings, value: number) => Partial<WorkspaceSettings>>;

const isNumberSetting = (name: string): name is keyof typeof numberSettings => Object.hasOwn(numberSettings, name);

export function defineSettings(settings: Command, invocation: Invocation): void {
  settings
    .addHelpText(
      'after',
      `
Examples:
  kai settings                                  show them
  kai settings add roots /srv/data              let tools read a folder (--write: write, too)
  kai settings add egress api.example.com:443   let tools connect to a host
  kai settings set retention.runsDays 30        forget finished runs after 30 days
  kai settings set runsAtOnce 20                let at most 20 runs be at work at once (unset: kOS decides)`,
    )
    .action(async () => {
      show(invocation, (await invocation.client.settings.get()).value);
    });
  settings
    .command('add')
    .summary('add a folder or a host')
    .argument('<list>', 'roots or egress')
    .argument('<value>', 'a folder, or host:port')
    .option('--write', 'roots: tools may write there, too')
    .action(async (list: string, value: string, options: { write?: boolean }) => {
      const change = additionTo(list, value, options.write === true);
      await edit(invocation, change);
      const folder = resolve(value);
      if (list === 'roots' && !existsSync(folder))
        invocation.output.say(`There is no ${visibleLine(folder)} on this machine: tools reach it once it is there.`);
    });
  settings
    .command('remove')
    .summary('remove a folder or a host')
    .argument('<list>', 'roots or egress')
    .argument('<value>', 'the folder, or host:port')
    .action(async (list: string, value: string) => {
      await edit(invocation, removalFrom(list, value));
    });
  settings
    .command('unset')
    .summary('leave it to kOS again')
    .argument('<name>', 'runsAtOnce')
    .action(async (name: string) => {
      if (name !== 'runsAtOnce') throw usageFault(`${name} cannot be unset: runsAtOnce can.`);
      await edit(invocation, () => ({ runsAtOnce: null }));
    });
  settings
    .command('set')
    .summary('set a number')
    .argument('<name>', Object.keys(numberSettings).join(' or '))
    .argument('<value>', 'a whole number')
    .action(async (name: string, value: string) => {
      if (!isNumberSetting(name)) throw usageFault(`There is no setting ${name}: it is one of ${Object.keys(numberSettings).join(', ')}.`);
      if (!/^[0-9]{1,9}$/.test(value)) throw usageFault(`${name} takes a whole number, not "${value}".`);
      await edit(invocation, (current) => numberSettings[name](current, Number(value)));
    });
}

/** What was read, as what is to be replaced of it. */
type Change = (settings: WorkspaceSettings) => Partial<WorkspaceSettings>;

function additionTo(list: string, value: string, write: boolean): Change {
  switch (list) {
    case 'roots': {
      const path = resolve(value);
      return (settings) => ({ roots: [...settings.roots.filter((root) => root.path !== path), { path, write }] });
    }
    case 'egress':
      if (write) throw usageFault('--write belongs to roots.');
      return (settings) => ({ egress: [...new Set([...settings.egress, value])] });
    default:
      throw noSuchList(list);
  }
}

function removalFrom(list: string, value: string): Change {
  switch (list) {
    case 'roots': {
      const path = resolve(value);
      return (settings) => ({ roots: withoutOne(settings.roots, (root) => root.path === path, `The folder ${path} is`) });
    }
    case 'egress':
      return (settings) => ({ egress: withoutOne(settings.egress, (host) => host === value, `The host ${value} is`) });
    default:
      throw noSuchList(list);
  }
}

function withoutOne<Item>(items: Item[], isIt: (item: Item) => boolean, subject: string): Item[] {
  const rest = items.filter((item) => !isIt(item));
  if (rest.length === items.length) throw usageFault(`${subject} not in the list.`, 'See the list: kai settings');
  return rest;
}

const noSuchList = (list: string): Error => usageFault(`There is no list ${list}: it is roots (folders) or egress (hosts).`);

/** Changes what was read, and only that: if somebody else changed the settings in between, the server answers 412 and it is done once more on theirs. */
async function edit(invocation: Invocation, change: Change): Promise<void> {
  const { client } = invocation;
  const attempt = async (): Promise<ShownSettings> => {
    const { value, etag } = await client.settings.get();
    return await client.settings.change(change(value), etag);
  };
  try {
    show(invocation, await attempt());
  } catch (error) {
    if (!(error instanceof KosError) || error.status !== 412) throw error;
    show(invocation, await attempt());
  }
}

function show({ output }: Invocation, settings: ShownSettings): void {
  if (output.json) {
    output.document(settings);
    return;
  }
  const { dim } = output.dataColours;
  const describeRoot = (root: WorkspaceSettings['roots'][number]): string => `  ${visibleLine(root.path)}${root.write ? '' : dim('  (read only)')}`;
  const egress = settings.egress.map((host) => `  ${visibleLine(host)}`);
  output.data(
    [
      dim('Folders that tools may reach'),
      ...settings.builtInRoots.map((root) => `${describeRoot(root)}${dim('  (built in)')}`),
      ...settings.roots.map(describeRoot),
      dim('Hosts that tools may connect to'),
      ...(egress.length === 0 ? ['  none'] : egress),
      dim('Runs at work at once'),
      `  ${settings.runsAtOnce === null ? 'as many as come, while Temporal shares out fairly' : settings.runsAtOnce.toLocaleString('en-US')}`,
      dim('Retention'),
      `  finished runs ${settings.retention.runsDays} days, events ${settings.retention.eventsDays} days`,
    ].join('\n'),
  );
}
