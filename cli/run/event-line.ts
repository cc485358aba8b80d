import type { KosEvent } from '#schemas/event.ts';
import type { Colours } from '../output.ts';
import { visibleLine } from '../terminal-text.ts';
import { clockTime } from '../times.ts';
import { describeLabels } from './labels.ts';
import { describeReuse } from './reuse.ts';

/** One event as a line of a log: `12:03:04 step read succeeded`. */
export function describeEvent(event: KosEvent, colours: Colours): string {
  return `${colours.dim(clockTime(event.at))} ${visibleLine(sentenceOf(event))}`;
}

function sentenceOf({ type, data }: KosEvent): string {
  const [noun = '', verb = ''] = type.split('.');
  const step = textOf(data['stepPath']);
  switch (noun) {
    case 'step':
      return withDetail(
        `step ${step ?? '?'} ${verb}${attemptOf(data['attempt'])}`,
        errorOf(data['error']) ?? retryOf(data['retryAt']) ?? waitOf(data['waitingFor']) ?? originOf(data),
      );
    case 'signal':
      return `signal ${textOf(data['name']) ?? '?'} ${verb}${step === null ? '' : `, taken by ${step}`}`;
    case 'approval':
      return withDetail(`approval ${textOf(data['approvalId']) ?? ''} for ${step ?? '?'} ${decisionOf(data) ?? verb}`.replace(/ {2,}/g, ' '), null);
    case 'plan':
    case 'schedule':
    case 'trigger':
      return withDetail(`${noun} ${nameOf(data)} ${verb}`, [textOf(data['status']), textOf(data['reason']) ?? textOf(data['note'])].filter(isSaid).join(': '));
    default:
      return withDetail(`${noun} ${verb}`, waitOf(data['waitingFor']) ?? runErrorOf(data['error']) ?? textOf(data['reason']));
  }
}

const withDetail = (text: string, detail: string | null): string => (isSaid(detail) ? `${text}: ${detail}` : text);

const isSaid = (text: string | null): text is string => text !== null && text !== '';

/** What is no run's has a name of its own. */
const nameOf = (data: KosEvent['data']): string => `${textOf(data['name']) ?? '?'}${typeof data['version'] === 'number' ? `@${data['version']}` : ''}`;

/** How its output came to be, where that is out of the ordinary. */
function originOf(data: KosEvent['data']): string | null {
  const said = [describeReuse(data['reusedFrom']), describeLabels(data['labels'])].filter((text) => text !== null);
  return said.length === 0 ? null : said.join(', ');
}

const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

const attemptOf = (attempt: unknown): string => (typeof attempt === 'number' && attempt > 1 ? ` (attempt ${attempt})` : '');

function decisionOf(data: KosEvent['data']): string | null {
  const decision = textOf(data['decision']);
  if (decision === null) return null;
  return `${decision === 'approve' ? 'approved' : 'denied'} by ${textOf(data['by']) ?? 'somebody'}`;
}

function errorOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('message' in error)) return null;
  const code = 'code' in error ? textOf(error.code) : null;
  return `${textOf(error.message) ?? 'failed'}${code === null ? '' : ` (${code})`}`;
}

/** A step's error was told with the step. */
const runErrorOf = (error: unknown): string | null =>
  typeof error === 'object' && error !== null && 'stepPath' in error && typeof error.stepPath === 'string' ? `step ${error.stepPath}` : errorOf(error);

const retryOf = (at: unknown): string | null => (typeof at === 'string' ? `next attempt at ${clockTime(at)}` : null);

const waitOf = (waiting: unknown): string | null => (typeof waiting === 'object' && waiting !== null && 'text' in waiting ? textOf(waiting.text) : null);
