import type { Command } from 'commander';
import type { Configuration } from '#config';
import { readCredentials } from '../credentials.ts';
import { findTemporalProgram, readOwnFacts } from '../installation/home-facts.ts';
import type { Invocation } from '../invocation.ts';

export function defineCodec(codec: Command, invocation: Invocation): void {
  codec
    .addHelpText('after', '\nThe key needs the permission history:read. For pages of Temporal’s UI, name their origin in KOS_CODEC_ORIGINS.')
    .action(async () => {
      const { client, output } = invocation;
      const endpoint = `${await client.transport.address()}/v1/codec`;
      const { program, server } = await temporalOfThisHome(await invocation.configuration());
      const command = [program, 'workflow show', ...server, `--workflow-id RUN --codec-endpoint ${endpoint} --codec-auth "Bearer $KOS_API_KEY"`].join(' ');
      if (output.json) output.document({ endpoint, command });
      else output.data(`${endpoint}\n${command}`);
    });
}

/** The embedded server listens on a port of its own, and its program need not be on the path. Elsewhere both are whoever asks' own matter. */
async function temporalOfThisHome(configuration: Configuration): Promise<{ program: string; server: string[] }> {
  const { local } = await readCredentials(configuration);
  const found = local === true ? (await readOwnFacts(configuration.home)).temporal : null;
  if (found === null) return { program: 'temporal', server: [] };
  const program = await findTemporalProgram(configuration.cache);
  return {
    program: program === null || program.onPath ? 'temporal' : program.path,
    server: ['--address', found.address, ...(found.namespace === 'default' ? [] : ['--namespace', found.namespace])],
  };
}
