import type { Attempt, OutgoingContent, TestResult } from '#schemas/outgoing.ts';
import type { Webhook } from '#schemas/webhook.ts';
import { describeFields } from './show-value.ts';
import { visibleLine, visibleText } from './terminal-text.ts';
import { describeDuration, describeInstant } from './times.ts';

export const describeWebhook = (webhook: Webhook): string =>
  describeFields([
    ['webhook', `${webhook.name}  ${webhook.id}`],
    ['state', `${webhook.enabled ? 'enabled' : 'disabled'}${webhook.note === null ? '' : `: ${visibleLine(webhook.note)}`}`],
    ['address', visibleLine(webhook.url)],
    ['events', webhook.events.join(' ')],
    ['plan', webhook.plan],
    ['acts for', webhook.createdBy],
    ['old secret', webhook.previousSecretUntil === null ? null : `signs, too, until ${webhook.previousSecretUntil}`],
    ['waiting', webhook.pending === 0 ? null : String(webhook.pending)],
    ['dead letters', webhook.failed === 0 ? null : `${webhook.failed}: kai webhook deliveries ${webhook.name} --failed`],
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
