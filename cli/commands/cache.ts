import type { Command } from 'commander';
import type { Invocation } from '../invocation.ts';

export function defineCache(cache: Command, invocation: Invocation): void {
  cache
    .command('clear')
    .summary('forget the outputs that steps with `cache` could reuse; runs keep what they have')
    .option('--plan <plan>', 'only what the runs of this plan have found out')
    .action(async (options: { plan?: string }) => {
      const { client, output } = invocation;
      const answer = await client.cache.clear(options.plan ?? null);
      if (output.json) output.document(answer);
      else output.say(`Forgot ${describeCount(answer.cleared)}${answer.plan === null ? '' : ` of the plan ${answer.plan}`}.`);
    });
}

const describeCount = (count: number): string => `${count.toLocaleString('en-US')} kept output${count === 1 ? '' : 's'}`;
