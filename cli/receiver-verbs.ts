import type { Command } from 'commander';
import type { OutgoingContent, OutgoingDelivery, RedeliverDead, Redelivered, TestResult } from '#schemas/outgoing.ts';
import type { Page, Tagged } from './client.ts';
import { exitCodes } from './exit-codes.ts';
import { usageFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import { addListOptions, type ListOptions, showPage } from './lists.ts';
import { visibleLine } from './terminal-text.ts';
import { describeInstant, durationArgument } from './times.ts';
import { describeOutgoing, describeTest } from './receiver-view.ts';

/** What is told of what happens: a webhook or a channel. */
export interface Receiver {
  id: string;
  name: string;
}

export interface ReceiverClient<Shown extends Receiver> {
  get(id: string): Promise<Tagged<Shown>>;
  enable(id: string, verb: 'enable' | 'disable', body: object): Promise<Shown>;
  remove(id: string, etag: string): Promise<void>;
  test(id: string): Promise<TestResult>;
  deliveries(id: string, query: Record<string, string | number | undefined>): Promise<Page<OutgoingDelivery>>;
  delivery(id: string, delivery: string): Promise<OutgoingContent>;
  redeliver(id: string, delivery: string): Promise<OutgoingContent>;
  redeliverDead(id: string, body: RedeliverDead): Promise<Redelivered>;
}

export interface ReceiverKind<Shown extends Receiver> {
  word: 'webhook' | 'channel';
  client: ReceiverClient<Shown>;
  resolve: (given: string) => Promise<string>;
  describe: (shown: Shown) => string;
}

export const receiverArgument = (word: string) => [`<${word}>`, 'its name, or its id'] as const;

export function showReceiver<Shown extends Receiver>({ output }: Invocation, { describe }: ReceiverKind<Shown>, shown: Shown): void {
  if (output.json) output.document(shown);
  else output.data(describe(shown));
}

/** The verbs that webhooks and channels share. */
export function defineReceiverVerbs<Shown extends Receiver>(command: Command, invocation: Invocation, kind: ReceiverKind<Shown>): void {
  const { output } = invocation;
  const { word, client, resolve } = kind;
  const argument = receiverArgument(word);
  command
    .command('get')
    .summary(`a ${word}: where it sends and what, what waits, why it is disabled`)
    .argument(...argument)
    .action(async (given: string) => showReceiver(invocation, kind, (await client.get(await resolve(given))).value));
  command
    .command('test')
    .summary('send a message now, and see what came of it')
    .argument(...argument)
    .action(async (given: string) => {
      const result = await client.test(await resolve(given));
      if (output.json) output.document(result);
      else output.data(describeTest(result));
      if (!result.delivered) invocation.exitCode = exitCodes.error;
    });
  for (const verb of ['enable', 'disable'] as const) {
    command
      .command(verb)
      .summary(verb === 'enable' ? 'send again, from now on' : 'send nothing until it is enabled')
      .argument(...argument)
      .option('--note <text>', 'why')
      .action(async (given: string, options: { note?: string }) => {
        showReceiver(invocation, kind, await client.enable(await resolve(given), verb, { ...options }));
      });
  }
  command
    .command('delete')
    .summary(`remove a ${word} and its deliveries; what is on its way is not sent`)
    .argument(...argument)
    .action(async (given: string) => {
      const { value, etag } = await client.get(await resolve(given));
      await client.remove(value.id, etag);
      if (output.json) output.document({ id: value.id, name: value.name, removed: true });
      else output.say(`Removed ${value.name}.`);
    });
  defineDeliveries(command, invocation, kind);
}

interface RedeliverOptions {
  failed?: boolean;
  since?: number;
  type?: string;
}

/** Request by request, until there are no more. */
async function redeliverAll<Shown extends Receiver>(
  { output }: Invocation,
  client: ReceiverClient<Shown>,
  id: string,
  { since, type }: RedeliverOptions,
): Promise<void> {
  const which = { ...(since === undefined ? {} : { since: new Date(Date.now() - since).toISOString() }), ...(type === undefined ? {} : { type }) };
  let redelivered = 0;
  for (let more = true; more; ) {
    const came = await client.redeliverDead(id, which);
    redelivered += came.redelivered;
    more = came.more;
  }
  if (output.json) output.document({ redelivered });
  else output.say(redelivered === 0 ? 'There was no dead letter to send again.' : `Sent again: ${redelivered}.`);
}

function defineDeliveries<Shown extends Receiver>(command: Command, invocation: Invocation, { word, client, resolve }: ReceiverKind<Shown>): void {
  const { output } = invocation;
  const argument = receiverArgument(word);
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
    .summary('send a delivery that is over again, or with --failed every dead letter')
    .argument(...argument)
    .argument('[delivery]', 'its id')
    .option('--failed', 'all dead letters that were not sent again yet')
    .option('--since <duration>', 'with --failed: those of the last 2h, 1d', durationArgument)
    .option('--type <type>', 'with --failed: those of one type of event')
    .action(async (given: string, delivery: string | undefined, options: RedeliverOptions) => {
      if ((delivery === undefined) !== (options.failed === true))
        throw usageFault('Name one delivery, or all dead letters.', `kai ${word} redeliver NAME ID, or kai ${word} redeliver NAME --failed`);
      if (delivery === undefined) {
        await redeliverAll(invocation, client, await resolve(given), options);
        return;
      }
      const made = await client.redeliver(await resolve(given), delivery);
      if (output.json) output.document(made);
      else output.data(made.id);
    });
}
