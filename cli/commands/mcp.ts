import { type Command, Option } from 'commander';
import { readCredentials } from '../credentials.ts';
import type { Invocation } from '../invocation.ts';
import { keyVariable, type McpClient, mcpClients, mcpSettings } from '../mcp-settings.ts';

export function defineMcp(mcp: Command, invocation: Invocation): void {
  mcp
    .command('config')
    .summary('settings for a program that calls kOS by the Model Context Protocol')
    .addOption(new Option('--client <name>', 'whose settings').choices(mcpClients).default('claude-code'))
    .option('--with-key', `write kai’s own key into them, instead of the name ${keyVariable}`)
    .addHelpText(
      'after',
      '\nMake a key for the program, which may do no more than it needs:\n  kai key create assistant --scope runs:start --scope runs:read --scope approvals:read',
    )
    .action(async (options: { client: McpClient; withKey?: boolean }) => {
      const { output } = invocation;
      const { url, apiKey } = await readCredentials(await invocation.configuration());
      const settings = mcpSettings(options.client, { url: `${url}/mcp`, apiKey: options.withKey === true ? apiKey : null });
      if (output.json) {
        output.document({ client: options.client, ...settings });
        return;
      }
      output.data(settings.text);
      output.say(`Put this into ${settings.file}.`);
      output.say(
        options.withKey === true
          ? 'It holds a key that may do all that kai may: better make one for it (kai key create) and leave --with-key out.'
          : `Give the program a key of its own, by ${keyVariable}: kai key create assistant --scope runs:start --scope runs:read --scope approvals:read`,
      );
    });
}
