import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { type Channel, type ChannelKind, channelKinds, type ChannelTopic, channelTopics, type SetChannel } from '#schemas/channel.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, collect, type ListOptions, showPage } from '../lists.ts';
import { describeChannel } from '../receiver-view.ts';
import { defineReceiverVerbs, receiverArgument, type ReceiverKind, showReceiver } from '../receiver-verbs.ts';
import { resolveChannelId } from '../short-ids.ts';
import { visibleLine } from '../terminal-text.ts';

interface ChannelOptions {
  kind?: ChannelKind;
  topic?: ChannelTopic[];
  plan?: string | false;
  urlStdin?: boolean;
}

const addOptions = (command: Command): Command =>
  command
    .addOption(new Option('--kind <kind>', 'whose form messages take; url: plain JSON').choices(channelKinds))
    .option('-t, --topic <topic>', `what it tells of: ${channelTopics.join(', ')} (repeat for several)`, collect)
    .option('--plan <name>', 'of runs of this plan alone')
    .option('--url-stdin', 'read the address from standard input: whoever knows it may write there, so it is no argument');

export function defineChannel(channel: Command, invocation: Invocation): void {
  const { client } = invocation;
  const kind: ReceiverKind<Channel> = {
    word: 'channel',
    client: client.channels,
    resolve: (given) => resolveChannelId(client, given),
    describe: describeChannel,
  };
  addListOptions(channel.command('list').summary('channels, by name')).action(async (page: ListOptions) => {
    showPage(invocation, await client.channels.list({ ...page }), {
      headings: ['CHANNEL', 'STATE', 'FORM', 'HOST', 'TELLS OF', 'DEAD'],
      row: ({ name, enabled, kind: form, host, topics, failed }) => [
        name,
        enabled ? 'enabled' : 'disabled',
        form,
        visibleLine(host),
        topics.join(' '),
        String(failed),
      ],
      empty: 'There is no channel. Make one: kai channel create NAME --kind slack --url-stdin',
    });
  });
  addOptions(channel.command('create').summary('tell people of what they should see').argument('<name>', 'lower-case letters, digits, hyphens')).action(
    async (name: string, options: ChannelOptions) => {
      if (options.kind === undefined) throw usageFault('The form of messages is not named.', `Name it: --kind ${channelKinds.join('|')}`);
      if (options.urlStdin !== true)
        throw usageFault('A channel posts to an address, and none is given.', 'Give it: echo https://… | kai channel create NAME --kind KIND --url-stdin');
      const body = { name, kind: options.kind, topics: options.topic ?? [...channelTopics], plan: options.plan || null, url: await readUrl(), enabled: true };
      showReceiver(invocation, kind, await client.channels.create(body));
    },
  );
  addOptions(
    channel
      .command('update')
      .summary('change what is named; from then on it tells with your rights')
      .argument(...receiverArgument('channel')),
  )
    .option('--no-plan', 'of runs of every plan')
    .action(async (given: string, options: ChannelOptions) => {
      const { value, etag } = await client.channels.get(await kind.resolve(given));
      const url = options.urlStdin === true ? { url: await readUrl() } : {};
      showReceiver(invocation, kind, await client.channels.set(value.id, { ...changed(value, options), ...url }, etag));
    });
  defineReceiverVerbs(channel, invocation, kind);
}

const changed = (channel: Channel, options: ChannelOptions): SetChannel => ({
  kind: options.kind ?? channel.kind,
  topics: options.topic ?? channel.topics,
  plan: options.plan === false ? null : (options.plan ?? channel.plan),
});

const readUrl = async (): Promise<string> => (await text(process.stdin)).trim();
