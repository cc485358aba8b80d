import type { Command } from 'commander';
import { text } from 'node:stream/consumers';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, collect, type ListOptions, showPage } from '../lists.ts';
import { describeInstant } from '../times.ts';

export function defineSecret(secret: Command, invocation: Invocation): void {
  secret
    .command('set')
    .summary('store a secret; the value comes from standard input or a hidden prompt, never from the command line')
    .argument('<name>', 'what plans call it: secret://NAME')
    .option('--host <host>', 'host that may receive it (repeat for several)', collect)
    .addHelpText('after', '\nExample: printf %s "$TOKEN" | kai secret set github --host api.github.com')
    .action(async (name: string, options: { host?: string[] }) => {
      await set(invocation, name, options.host ?? []);
    });
  addListOptions(secret.command('list').summary('names and hosts; values are never shown')).action(async (options: ListOptions) => {
    const now = Date.now();
    showPage(invocation, await invocation.client.secrets.list({ ...options }), {
      headings: ['NAME', 'HOSTS', 'SET'],
      row: (item) => [item.name, item.hosts.join(', '), describeInstant(item.updatedAt, now)],
      empty: 'No secret is stored. Store one: kai secret set NAME --host HOST',
    });
  });
  secret
    .command('remove')
    .summary('forget a secret')
    .argument('<name>', 'its name')
    .action(async (name: string) => {
      await invocation.client.secrets.remove(name);
      if (invocation.output.json) invocation.output.document({ name, removed: true });
      else invocation.output.say(`Removed ${name}.`);
    });
}

async function set({ output, client }: Invocation, name: string, hosts: string[]): Promise<void> {
  if (hosts.length === 0)
    throw usageFault('A secret is bound to the hosts that may receive it, and none is given.', `kai secret set ${name} --host api.example.com`);
  const value = await readSecret(name, output.terminal.input && output.terminal.talk);
  if (value === '') throw usageFault('The value is empty.', `printf %s "$VALUE" | kai secret set ${name} --host ${hosts[0] ?? 'HOST'}`);
  const stored = await client.secrets.set(name, { value, hosts });
  if (output.json) output.document(stored);
  else output.say(`Stored secret://${name} for ${hosts.join(', ')}.`);
}

/** One line end is taken off: `echo` and editors add it, and no secret is meant to end in one. */
async function readSecret(name: string, interactive: boolean): Promise<string> {
  if (!interactive) return (await text(process.stdin)).replace(/\r?\n$/, '');
  const { password } = await import('@inquirer/prompts');
  return await password({ message: `Value of ${name} (hidden):`, mask: false }, { output: process.stderr });
}
