import type { Attempt, OutgoingContent, TestResult } from '#schemas/outgoing.ts';
import type { Channel } from '#schemas/channel.ts';
import type { Webhook } from '#schemas/webhook.ts';
import { describeFields } from './show-value.ts';
import { visibleLine, visibleText } from './terminal-text.ts';
import { describeDuration, describeInstant } from './times.ts';

const stateOf = ({ enabled, note }: Webhook | Channel): string => `${enabled ? 'enabled' : 'disabled'}${note === null ? '' : `: ${visibleLine(note)}`}`;

const deliveriesOf = (word: string, { name, pending, failed }: Webhook | Channel): [string, string | null][] => [
  ['waiting', pending === 0 ? null : String(pending)],
  ['dead letters', failed === 0 ? null : `${failed}: kai ${word} deliveries ${name} --failed`],
];

export const describeChannel = (channel: Channel): string =>
  describeFields([
    ['channel', `${channel.name}  ${channel.id}`],
    ['state', stateOf(channel)],
    ['form', `${channel.kind}, at ${visibleLine(channel.host)}`],
    ['tells of', channel.topics.join(' ')],
    ['plan', channel.plan],
    ['acts for', channel.createdBy],
    ...deliveriesOf('channel', channel),
  ]);

export const describeWebhook = (webhook: Webhook): string =>
  describeFields([
    ['webhook', `${webhook.name}  ${webhook.id}`],
    ['state', stateOf(webhook)],
    ['address', visibleLine(webhook.url)],
    ['events', webhook.events.join(' ')],
    ['plan', webhook.plan],
    ['acts for', webhook.createdBy],
    ['old secret', webhook.previousSecretUntil === null ? null : `signs, too, until ${webhook.previousSecretUntil}`],
    ...deliveriesOf('webhook', webhook),
  ]);

export const describeAttempt = ({ error, fix, durationMs, status, answer }: Attempt): string =>
  [
    error === null ? `answered ${status ?? ''} in ${describeDuration(durationMs)}` : visibleLine(error),
    ...(fix === null ? [] : [`Fix: ${visibleLine(fix)}`]),
    ...(answer === '' ? [] : [`Its answer: ${visibleLine(answer)}`]),
  ].join('\n');

export const describeTest = (result: TestResult): string =>
  result.delivered ? `Delivered: ${describeAttempt(result)}` : `Not delivered: ${describeAttempt(result)}`;

export const describeOutgoing = (delivery: OutgoingContent, now: number): string =>
  [
    describeFields([
      ['delivery', delivery.id],
      ['status', `${delivery.status}${delivery.error === null ? '' : `: ${visibleLine(delivery.error)}`}`],
      ['event', `${delivery.type}  ${delivery.eventId}`],
      ['run', delivery.runId],
      ['made', describeInstant(delivery.createdAt, now)],
      ['next try', delivery.nextAttemptAt === null ? null : describeInstant(delivery.nextAttemptAt, now)],
      ['sent again by', delivery.redeliveredBy],
    ]),
    ...delivery.tries.map((tried, index) => `try ${index + 1}, ${describeInstant(tried.at, now)}: ${describeAttempt(tried)}`),
    visibleText(delivery.body),
  ].join('\n');
