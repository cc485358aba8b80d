import type { ChannelKind } from '#schemas/channel.ts';
import type { JsonObject } from '#schemas/json.ts';
import { type Message, shortened } from './message.ts';

/** The body that a service takes. Texts come from plans and from servers: nothing in them is read as formatting, as a mention or as a link. */
export function formOf(kind: ChannelKind, message: Message): JsonObject {
  switch (kind) {
    case 'slack':
      return slackForm(message);
    case 'discord':
      return discordForm(message);
    case 'teams':
      return teamsForm(message);
    case 'url':
      return { ...message, text: plainText(message) };
  }
}

const plainText = ({ title, facts, command }: Message): string =>
  [title, ...facts.map(({ name, value }) => `${name}: ${value}`), ...(command === null ? [] : [command])].join('\n');

/** https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: blocks, and `text` for notifications. `&`, `<` and `>` are all that is special in it. */
function slackForm(message: Message): JsonObject {
  const { title, link } = message;
  const plain = (text: string, longest: number): JsonObject => ({ type: 'plain_text', text: shortened(text, longest), emoji: false });
  const button = link === null ? [] : [{ type: 'actions', elements: [{ type: 'button', text: plain(link.title, 75), url: link.url }] }];
  const body = plainText({ ...message, title: '' }).trim();
  return {
    text: shortened(title, 1_000).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    blocks: [{ type: 'header', text: plain(title, 150) }, ...(body === '' ? [] : [{ type: 'section', text: plain(body, 3_000) }]), ...button],
    unfurl_links: false,
  };
}

/** What Discord reads as formatting. */
const discordSpecial = /[\\*_~`|>#[\]()<@:-]/g;
const discordRed = 0xd0_3b_3b;

/** https://docs.discord.com/developers/resources/webhook#execute-webhook: one embed; nobody is mentioned. */
function discordForm({ title, facts, link, command }: Message): JsonObject {
  const literal = (text: string, longest: number): string => shortened(text, longest).replaceAll(discordSpecial, String.raw`\$&`);
  return {
    embeds: [
      {
        title: literal(title, 120),
        color: discordRed,
        ...(link === null ? {} : { url: link.url }),
        fields: facts.map(({ name, value }) => ({ name, value: literal(value, 500) })),
        ...(command === null ? {} : { footer: { text: shortened(command, 500) } }),
      },
    ],
    allowed_mentions: { parse: [] },
  };
}

/** An Adaptive Card in the envelope that Teams' workflows and webhooks take. RichTextBlocks read no Markdown. */
function teamsForm({ title, facts, link, command }: Message): JsonObject {
  const block = (text: string, more: JsonObject = {}): JsonObject => ({ type: 'RichTextBlock', inlines: [{ type: 'TextRun', text, ...more }] });
  return {
    type: 'message',
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive',
        contentUrl: null,
        content: {
          $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
          type: 'AdaptiveCard',
          version: '1.4',
          body: [
            block(title, { weight: 'Bolder', size: 'Medium' }),
            ...facts.map(({ name, value }) => block(`${name}: ${value}`)),
            ...(command === null ? [] : [block(command, { fontType: 'Monospace' })]),
          ],
          actions: link === null ? [] : [{ type: 'Action.OpenUrl', title: link.title, url: link.url }],
        },
      },
    ],
  };
}
