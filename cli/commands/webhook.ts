import type { Command } from 'commander';
import type { EventSelector, MadeWebhook, SetWebhook, Webhook } from '#schemas/webhook.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, collect, type ListOptions, showPage } from '../lists.ts';
import { describeWebhook } from '../receiver-view.ts';
import { defineReceiverVerbs, receiverArgument, type ReceiverKind, showReceiver } from '../receiver-verbs.ts';
import { resolveWebhookId } from '../short-ids.ts';
import { visibleLine } from '../terminal-text.ts';
import { durationArgument } from '../times.ts';

interface WebhookOptions {
  url?: string;
  event?: EventSelector[];
  plan?: string | false;
}

const addOptions = (command: Command): Command =>
  command
    .option('--url <url>', 'where it is posted to')
    .option('-e, --event <type>', "a type of event, or a group: run.failed, 'run.*', '*' (repeat for several)", collect)
    .option('--plan <name>', 'of runs of this plan alone');

export function defineWebhook(webhook: Command, invocation: Invocation): void {
  const { client } = invocation;
  const kind: ReceiverKind<Webhook> = {
    word: 'webhook',
    client: client.webhooks,
    resolve: (given) => resolveWebhookId(client, given),
    describe: describeWebhook,
  };
  addListOptions(webhook.command('list').summary('webhooks, by name')).action(async (options: ListOptions) => {
    showPage(invocation, await client.webhooks.list({ ...options }), {
      headings: ['WEBHOOK', 'STATE', 'EVENTS', 'PLAN', 'WAITING', 'DEAD', 'ADDRESS'],
      row: (item) => [
        item.name,
        item.enabled ? 'enabled' : 'disabled',
        item.events.join(' '),
        item.plan ?? '',
        String(item.pending),
        String(item.failed),
        visibleLine(item.url),
      ],
      empty: 'There is no webhook. Make one: kai webhook create NAME --url URL --event run.failed',
    });
  });
  defineChanging(webhook, invocation, kind);
  defineReceiverVerbs(webhook, invocation, kind);
}

function defineChanging(webhook: Command, invocation: Invocation, kind: ReceiverKind<Webhook>): void {
  const { client } = invocation;
  addOptions(
    webhook
      .command('create')
      .summary('tell a program outside of events; prints the secret that signs, this once')
      .argument('<name>', 'lower-case letters, digits, hyphens'),
  )
    .option('--disabled', 'make it disabled')
    .action(async (name: string, { url, event, plan, disabled }: WebhookOptions & { disabled?: boolean }) => {
      if (url === undefined) throw usageFault('A webhook posts to an address, and none is named.', 'Name it: --url https://…');
      if (event === undefined) throw usageFault('A webhook tells of events, and none is named.', "Name them: --event run.failed, or --event 'run.*'");
      const body = { name, url, events: event, plan: plan ?? null, ...(disabled === true ? { enabled: false } : {}) };
      showMade(invocation, await client.webhooks.create(body));
    });
  addOptions(
    webhook
      .command('update')
      .summary('change what is named; from then on it is told with your rights')
      .argument(...receiverArgument('webhook')),
  )
    .option('--no-plan', 'of runs of every plan')
    .action(async (given: string, options: WebhookOptions) => {
      const { value, etag } = await client.webhooks.get(await kind.resolve(given));
      showReceiver(invocation, kind, await client.webhooks.set(value.id, changed(value, options), etag));
    });
  webhook
    .command('rotate')
    .summary('another secret, printed this once; the one before signs, too, for a while')
    .argument(...receiverArgument('webhook'))
    .option('--keep <duration>', 'how long the old one signs, too: 0s, 12h, 1d', durationArgument)
    .action(async (given: string, { keep }: { keep?: number }) => {
      showMade(invocation, await client.webhooks.rotate(await kind.resolve(given), keep === undefined ? {} : { keepPreviousMs: keep }));
    });
}

const changed = ({ url, events, plan }: Webhook, options: WebhookOptions): SetWebhook => ({
  url: options.url ?? url,
  events: options.event ?? events,
  plan: options.plan === false ? null : (options.plan ?? plan),
});

/** The secret alone is data, so that it goes where it is to go without being seen. */
function showMade({ output }: Invocation, made: MadeWebhook): void {
  if (output.json) {
    output.document(made);
    return;
  }
  output.say(describeWebhook(made));
  output.say('Its secret, shown this once:');
  output.data(made.secret);
}
