import type { Command } from 'commander';
import { KosError } from '#core/errors.ts';
import type { Invocation } from '../invocation.ts';
import { showPage } from '../lists.ts';
import { visibleLine } from '../terminal-text.ts';

export function defineWorkspace(workspace: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  workspace
    .command('list')
    .summary('the workspaces you belong to; a key works in one of them')
    .action(async () => {
      const [page, me] = await Promise.all([client.workspaces.list(), client.me()]);
      showPage(invocation, page, {
        headings: ['SLUG', 'NAME', 'ROLES', 'ID', ''],
        row: (item) => [item.slug, item.name, item.roles.join(', '), item.id, item.id === me.workspace?.id ? 'this key’s' : ''],
        empty: 'You belong to no workspace.',
      });
    });
  workspace
    .command('create')
    .summary('make a workspace; you own it (for the installation’s owner)')
    .argument('<slug>', 'how it stands in addresses')
    .option('--name <name>', 'how people call it')
    .action(async (slug: string, options: { name?: string }) => {
      const made = await client.workspaces.create({ slug, name: options.name ?? slug });
      if (output.json) output.document(made);
      else {
        output.data(made.id);
        output.say(`Made ${made.slug}. A key for it: kai login --url ${await client.transport.address()} --workspace ${made.slug}`);
      }
    });
  workspace
    .command('rename')
    .summary('another name for this workspace; its slug stays')
    .argument('<name>', 'the new name')
    .action(async (name: string) => {
      const { workspace: own } = await client.me();
      if (own === null) throw new KosError({ code: 'not_found', message: 'You belong to no workspace.', status: 404 });
      const renamed = await client.workspaces.rename(own.id, name);
      if (output.json) output.document(renamed);
      else output.say(`${renamed.slug} is called ${visibleLine(renamed.name)} now.`);
    });
}
