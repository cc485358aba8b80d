import type { Command } from 'commander';
import type { Invocation } from '../invocation.ts';

export function defineCodec(codec: Command, invocation: Invocation): void {
  codec
    .addHelpText('after', '\nThe key needs the permission history:read. For pages of Temporal’s UI, name their origin in KOS_CODEC_ORIGINS.')
    .action(async () => {
      const { client, output } = invocation;
      const endpoint = `${await client.transport.address()}/v1/codec`;
      const command = `temporal workflow show --workflow-id RUN --codec-endpoint ${endpoint} --codec-auth "Bearer $KOS_API_KEY"`;
      if (output.json) output.document({ endpoint, command });
      else output.data(`${endpoint}\n${command}`);
    });
}
