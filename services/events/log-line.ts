import type { EventType, KosEvent } from '#schemas/event.ts';
import type { Json } from '#schemas/json.ts';

/** One event as a line to read. */
export interface LogLine {
  at: string;
  level: 'info' | 'warn' | 'error';
  text: string;
  stepPath: string | null;
  position: string;
}

const levels: Partial<Record<EventType, LogLine['level']>> = {
  'run.failed': 'error',
  'run.cancelled': 'warn',
  'run.terminated': 'error',
  'step.retrying': 'warn',
  'step.failed': 'error',
  'step.uncertain': 'warn',
  'approval.escalated': 'warn',
  'approval.expired': 'warn',
};

export function showLogLine(event: KosEvent): LogLine {
  const stepPath = textAt(event, 'stepPath');
  return {
    at: event.at,
    level: levels[event.type] ?? 'info',
    text: [sentence(event, stepPath), reason(event)].filter((part) => part !== null).join(': '),
    stepPath,
    position: event.position,
  };
}

function sentence(event: KosEvent, stepPath: string | null): string {
  const [subject, verb] = event.type.split('.') as [string, string];
  switch (subject) {
    case 'step':
      return `${stepPath ?? 'a step'} ${verb}${numberAt(event, 'attempt', (attempt) => (attempt > 1 ? ` (attempt ${attempt})` : ''))}${byHand(event)}`;
    case 'signal':
      return `signal ${textAt(event, 'name') ?? '?'} ${verb}${stepPath === null ? '' : `, taken by ${stepPath}`}`;
    case 'approval':
      return `approval ${textAt(event, 'decision') === null ? verb : `${verb}: ${textAt(event, 'decision') === 'approve' ? 'approved' : 'denied'}`}${stepPath === null ? '' : ` at ${stepPath}`}`;
    default:
      return `${subject} ${verb}`;
  }
}

/** Who has said so in the place of the step itself. */
function byHand(event: KosEvent): string {
  const action = textAt(event, 'byHand');
  return action === null ? '' : ` by hand (${action} by ${textAt(event, 'by') ?? 'somebody'})`;
}

/** The error's message, or whose output it is, where the event tells of one. */
function reason(event: KosEvent): string | null {
  const reused = event.data['reusedFrom'];
  if (typeof reused === 'object' && reused !== null && !Array.isArray(reused))
    return `reused from ${asText(reused['runId']) ?? '?'}/${asText(reused['stepPath']) ?? '?'}`;
  const error = event.data['error'];
  if (typeof error === 'object' && error !== null && !Array.isArray(error)) return asText(error['message']);
  const waiting = event.data['waitingFor'];
  if (typeof waiting === 'object' && waiting !== null && !Array.isArray(waiting)) return asText(waiting['text']);
  return asText(error) ?? textAt(event, 'reason') ?? textAt(event, 'message');
}

const asText = (value: Json | undefined): string | null => (typeof value === 'string' && value !== '' ? value : null);
const textAt = (event: KosEvent, name: string): string | null => asText(event.data[name]);

function numberAt(event: KosEvent, name: string, show: (value: number) => string): string {
  const value = event.data[name];
  return typeof value === 'number' ? show(value) : '';
}
