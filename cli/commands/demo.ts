import { type Command, InvalidArgumentError } from 'commander';
import type { Invocation } from '../invocation.ts';

export function defineDemo(demo: Command, invocation: Invocation): void {
  demo
    .command('crash')
    .summary('kill the worker in the middle of a fan-out, then count the effects')
    .description(
      'Starts the plan fan-out, kills the worker (SIGKILL) when half of the items are done, waits for the end and counts what each item has left behind: none may be missing, none doubled.',
    )
    .option('--items <count>', 'how many items', parseCount, usualItems)
    .action(async (options: { items: number }) => {
      const { demonstrateCrash } = await import('../demo/crash.ts');
      await demonstrateCrash(invocation, options.items);
    });
}

/** Enough for a worker to be in the middle of them when the news of half of them arrives. */
const usualItems = 300;
const mostItems = 100_000;

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 2 || count > mostItems) throw new InvalidArgumentError(`It must be a whole number from 2 to ${mostItems}.`);
  return count;
}
