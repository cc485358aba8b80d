import type { Command } from 'commander';
import type { OutgoingContent, OutgoingDelivery } from '#schemas/outgoing.ts';
import type { Page } from './client.ts';
import type { Invocation } from './invocation.ts';
import { addListOptions, type ListOptions, showPage } from './lists.ts';
import { visibleLine } from './terminal-text.ts';
import { describeInstant } from './times.ts';
import { describeOutgoing } from './webhook-view.ts';

/** What a receiver's deliveries are asked for by. */
export interface OutgoingClient {
  deliveries(id: string, query: Record<string, string | number | undefined>): Promise<Page<OutgoingDelivery>>;
  delivery(id: string, delivery: string): Promise<OutgoingContent>;
  redeliver(id: string, delivery: string): Promise<OutgoingContent>;
}

/** Verbs about what was sent to `kind`: deliveries, delivery, redeliver. */
export function defineOutgoingDeliveries(
  command: Command,
  invocation: Invocation,
  kind: { argument: readonly [string, string]; client: OutgoingClient; resolve: (given: string) => Promise<string> },
): void {
  const { output } = invocation;
  const { argument, client, resolve } = kind;
  addListOptions(command.command('deliveries').summary('what was sent or is to be, the newest first'))
    .argument(...argument)
    .option('--failed', 'dead letters: what was given up')
    .action(async (given: string, { failed, ...page }: ListOptions & { failed?: boolean }) => {
      const now = Date.now();
      showPage(invocation, await client.deliveries(await resolve(given), { ...page, ...(failed === true ? { status: 'failed' } : {}) }), {
        headings: ['DELIVERY', 'MADE', 'STATUS', 'TRIES', 'EVENT', 'RUN', 'ERROR'],
        row: (item) => [
          item.id,
          describeInstant(item.createdAt, now),
          item.status,
          String(item.attempts),
          item.type,
          item.runId ?? '',
          visibleLine(item.error ?? ''),
        ],
        empty: failed === true ? 'There is no dead letter.' : 'Nothing was sent yet.',
      });
    });
  const show = (delivery: OutgoingContent): void => {
    if (output.json) output.document(delivery);
    else output.data(describeOutgoing(delivery, Date.now()));
  };
  command
    .command('delivery')
    .summary('one delivery with its body and every try')
    .argument(...argument)
    .argument('<delivery>', 'its id')
    .action(async (given: string, delivery: string) => show(await client.delivery(await resolve(given), delivery)));
  command
    .command('redeliver')
    .summary('send a delivery that is over again')
    .argument(...argument)
    .argument('<delivery>', 'its id')
    .action(async (given: string, delivery: string) => {
      const made = await client.redeliver(await resolve(given), delivery);
      if (output.json) output.document(made);
      else output.data(made.id);
    });
}
