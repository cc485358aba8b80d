import type { DeliveryContent, Trigger, TriggerTrial } from '#schemas/trigger.ts';
import { describeFields } from './show-value.ts';
import { visibleLine, visibleText } from './terminal-text.ts';
import { describeInstant } from './times.ts';

export function describeTrigger(trigger: Trigger, now: number): string {
  const { lastRefusal } = trigger;
  return describeFields([
    ['trigger', `${trigger.name}  ${trigger.id}`],
    ['state', `${trigger.enabled ? 'enabled' : 'disabled'}${trigger.note === null ? '' : `: ${visibleLine(trigger.note)}`}`],
    ['address', trigger.url],
    ['sender', `${trigger.scheme}${trigger.publicKeys.length === 0 ? '' : `, known by ${trigger.publicKeys.join(' ')}`}`],
    ['plan', trigger.plan],
    ['filter', trigger.filter === null ? null : visibleLine(trigger.filter)],
    ['input', visibleLine(JSON.stringify(trigger.input))],
    ['duplicates', visibleLine(trigger.deduplication)],
    ['private', [...trigger.private.headers, ...trigger.private.body].map(visibleLine).join(' ')],
    ['acts for', trigger.createdBy],
    ['old secret', trigger.previousSecretUntil === null ? null : `is good, too, until ${trigger.previousSecretUntil}`],
    ['refused', lastRefusal === null ? null : `${trigger.refused}; the last one ${describeInstant(lastRefusal.at, now)}: ${visibleLine(lastRefusal.reason)}`],
  ]);
}

export function describeTrial({ matches, input, faults }: TriggerTrial): string {
  if (!matches) return 'Ignored: the filter is false for it.';
  const shown = `A run with this input:\n${visibleText(JSON.stringify(input, null, 2))}`;
  return faults.length === 0
    ? shown
    : `${shown}\nwhich the plan would refuse:\n${faults.map(({ pointer, message }) => `  ${visibleLine(pointer)}: ${visibleLine(message)}`).join('\n')}`;
}

export const describeDelivery = (delivery: DeliveryContent, now: number): string =>
  [
    describeFields([
      ['delivery', delivery.id],
      ['status', `${delivery.status}${delivery.reason === null ? '' : `: ${visibleLine(delivery.reason)}`}`],
      ['received', describeInstant(delivery.receivedAt, now)],
      ['key', delivery.key === null ? null : visibleLine(delivery.key)],
      ['run', delivery.runId],
      ['duplicate of', delivery.duplicateOf],
    ]),
    ...Object.entries(delivery.headers).map(([name, value]) => `${visibleLine(name)}: ${visibleLine(value)}`),
    visibleText(JSON.stringify(delivery.body, null, 2)),
  ].join('\n');
