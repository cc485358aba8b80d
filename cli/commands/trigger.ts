import type { Command } from 'commander';
import { text } from 'node:stream/consumers';
import type { MadeTrigger, SetTrigger, Trigger } from '#schemas/trigger.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, collect, type ListOptions, showPage } from '../lists.ts';
import { resolveTriggerId } from '../short-ids.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant, durationArgument } from '../times.ts';
import {
  addMappingOptions,
  addTriggerOptions,
  type MappingOptions,
  readMappingOptions,
  readSample,
  readTriggerDefinition,
  schemeOption,
  type TriggerOptions,
} from '../trigger-definition.ts';
import { describeDelivery, describeTrial, describeTrigger } from '../trigger-view.ts';

const triggerArgument = ['<trigger>', 'its name, or its id'] as const;
const deliveryArgument = ['<delivery>', 'its id: kai trigger deliveries TRIGGER'] as const;

export function defineTrigger(trigger: Command, invocation: Invocation): void {
  defineReading(trigger, invocation);
  defineChanging(trigger, invocation);
  defineTrying(trigger, invocation);
  defineDeliveries(trigger, invocation);
}

function defineReading(trigger: Command, invocation: Invocation): void {
  addListOptions(trigger.command('list').summary('triggers, by name'))
    .option('--plan <name>', 'of this plan')
    .action(async (options: ListOptions & { plan?: string }) => {
      showPage(invocation, await invocation.client.triggers.list({ ...options }), {
        headings: ['TRIGGER', 'STATE', 'SENDER', 'PLAN', 'REFUSED', 'ADDRESS'],
        row: (item) => [item.name, item.enabled ? 'enabled' : 'disabled', item.scheme, item.plan, String(item.refused), item.url],
        empty: 'There is no trigger. Make one: kai trigger create NAME --plan PLAN --scheme standard',
      });
    });
  trigger
    .command('get')
    .summary('a trigger: its address, what it makes of deliveries, what it refused and why')
    .argument(...triggerArgument)
    .action(async (given: string) => {
      show(invocation, (await invocation.client.triggers.get(await resolveTriggerId(invocation.client, given))).value);
    });
}

function defineChanging(trigger: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  addTriggerOptions(
    trigger
      .command('create')
      .summary('make a trigger; it acts with your rights as they are at each delivery')
      .argument('<name>', 'lower-case letters, digits, hyphens'),
  )
    .addOption(schemeOption())
    .option('--secret-stdin', "read the sender's secret from standard input (Stripe and Slack make theirs); else one is made")
    .option('--disabled', 'make it disabled')
    .action(async (name: string, options: TriggerOptions & { scheme: string; secretStdin?: boolean; disabled?: boolean }) => {
      if (options.plan === undefined) throw usageFault('A trigger starts runs of a plan, and none is named.', 'Name it: --plan NAME, or NAME@VERSION');
      const definition = await readTriggerDefinition(output, options, null);
      const secret = options.secretStdin === true ? { secret: await readSecret() } : {};
      showMade(
        invocation,
        await client.triggers.create({ name, scheme: options.scheme, ...definition, ...secret, ...(options.disabled === true ? { enabled: false } : {}) }),
      );
    });
  addTriggerOptions(
    trigger
      .command('set')
      .summary('change what is named; from then on it acts with your rights')
      .argument(...triggerArgument),
  ).action(async (given: string, options: TriggerOptions) => {
    const { value, etag } = await client.triggers.get(await resolveTriggerId(client, given));
    const definition = await readTriggerDefinition(output, options, definitionOf(value));
    show(invocation, await client.triggers.set(value.id, definition as unknown as SetTrigger, etag));
  });
  for (const verb of ['enable', 'disable'] as const) {
    trigger
      .command(verb)
      .summary(verb === 'enable' ? 'take deliveries again' : 'refuse deliveries until it is enabled')
      .argument(...triggerArgument)
      .option('--note <text>', 'why')
      .action(async (given: string, options: { note?: string }) => {
        show(invocation, await client.triggers.enable(await resolveTriggerId(client, given), verb, { ...options }));
      });
  }
  trigger
    .command('rotate')
    .summary('another secret; the one before stays good for a while')
    .argument(...triggerArgument)
    .option('--secret-stdin', "read the sender's new secret from standard input; else one is made")
    .option('--keep <duration>', 'how long the old one stays good: 0s, 12h, 1d', durationArgument)
    .action(async (given: string, options: { secretStdin?: boolean; keep?: number }) => {
      const secret = options.secretStdin === true ? { secret: await readSecret() } : {};
      const keep = options.keep === undefined ? {} : { keepPreviousMs: options.keep };
      showMade(invocation, await client.triggers.rotate(await resolveTriggerId(client, given), { ...secret, ...keep }));
    });
  trigger
    .command('remove')
    .summary('remove a trigger and its deliveries; its runs stay')
    .argument(...triggerArgument)
    .action(async (given: string) => {
      const { value, etag } = await client.triggers.get(await resolveTriggerId(client, given));
      await client.triggers.remove(value.id, etag);
      if (output.json) output.document({ id: value.id, name: value.name, removed: true });
      else output.say(`Removed ${value.name}; its runs stay.`);
    });
}

/** One line end is taken off, as `echo` adds it. */
const readSecret = async (): Promise<string> => (await text(process.stdin)).replace(/\r?\n$/, '');

function defineTrying(trigger: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  const showTrial = (trial: Parameters<typeof describeTrial>[0]): void => {
    if (output.json) output.document(trial);
    else output.data(describeTrial(trial));
  };
  addMappingOptions(trigger.command('try').summary('what a filter and inputs would make of a sample, before there is a trigger'))
    .requiredOption('--body <file>', 'the body of a delivery, JSON or YAML; - for standard input')
    .option('--header <name=value>', 'a header of it (repeat for several)', collect)
    .action(async (options: MappingOptions & { body: string; header?: string[] }) => {
      if (options.plan === undefined) throw usageFault('The sample is tried on a plan, and none is named.', 'Name it: --plan NAME');
      showTrial(await client.triggers.tryDraft({ ...(await readMappingOptions(output, options)), sample: await readSample(output, options) }));
    });
  trigger
    .command('test')
    .summary('what a trigger would make of a sample, or of a delivery that it has had; starts nothing')
    .argument(...triggerArgument)
    .option('--body <file>', 'the body of a sample, JSON or YAML; - for standard input')
    .option('--header <name=value>', 'a header of it (repeat for several)', collect)
    .option('--delivery <id>', 'a delivery')
    .action(async (given: string, { body, header, delivery }: { body?: string; header?: string[]; delivery?: string }) => {
      if ((body === undefined) === (delivery === undefined)) throw usageFault('Give either a sample or a delivery.', '--body FILE, or --delivery ID');
      const on = body === undefined ? { deliveryId: delivery } : { sample: await readSample(output, { body, ...(header === undefined ? {} : { header }) }) };
      showTrial(await client.triggers.tryOn(await resolveTriggerId(client, given), on));
    });
}

function defineDeliveries(trigger: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  addListOptions(trigger.command('deliveries').summary('what was delivered in the last 7 days, the newest first'))
    .argument(...triggerArgument)
    .action(async (given: string, options: ListOptions) => {
      const now = Date.now();
      showPage(invocation, await client.triggers.deliveries(await resolveTriggerId(client, given), { ...options }), {
        headings: ['DELIVERY', 'RECEIVED', 'STATUS', 'RUN', 'KEY'],
        row: (item) => [
          item.id,
          describeInstant(item.receivedAt, now),
          item.status,
          item.runId ?? item.duplicateOf ?? visibleLine(item.reason ?? ''),
          visibleLine(item.key ?? ''),
        ],
        empty: 'Nothing was delivered in the last 7 days.',
      });
    });
  trigger
    .command('delivery')
    .summary('one delivery with headers and body')
    .argument(...triggerArgument)
    .argument(...deliveryArgument)
    .action(async (given: string, delivery: string) => {
      const shown = await client.triggers.delivery(await resolveTriggerId(client, given), delivery);
      if (output.json) output.document(shown);
      else output.data(describeDelivery(shown, Date.now()));
    });
  trigger
    .command('redeliver')
    .summary('run a delivery again, a duplicate too; you answer for the run')
    .argument(...triggerArgument)
    .argument(...deliveryArgument)
    .action(async (given: string, delivery: string) => {
      const made = await client.triggers.redeliver(await resolveTriggerId(client, given), delivery);
      if (output.json) output.document(made);
      else if (made.runId === null) output.say(`${made.id} ${made.status}: ${visibleLine(made.reason ?? '')}`);
      else output.data(made.runId);
    });
}

/** Of a trigger, what may be set. */
const definitionOf = ({ plan, labels, priority, scheme, publicKeys, filter, input, private: hidden }: Trigger): SetTrigger => ({
  plan,
  ...(Object.keys(labels).length === 0 ? {} : { labels }),
  ...(priority === null ? {} : { priority }),
  scheme,
  publicKeys,
  filter,
  input,
  private: hidden,
});

function show({ output }: Invocation, trigger: Trigger): void {
  if (output.json) output.document(trigger);
  else output.data(describeTrigger(trigger, Date.now()));
}

/** The secret alone is data, so that it goes where it is to go without being seen. */
function showMade({ output }: Invocation, made: MadeTrigger): void {
  if (output.json) {
    output.document(made);
    return;
  }
  output.say(describeTrigger(made, Date.now()));
  if (made.secret === null) return;
  output.say('Its secret, shown this once:');
  output.data(made.secret);
}
