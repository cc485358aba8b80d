import { describe, expect, it } from 'vitest';
import type { EventType, KosEvent } from '#schemas/event.ts';
import { showLogLine } from './log-line.ts';

const lineOf = (type: EventType, data: KosEvent['data']): string => {
  const event: KosEvent = { id: 'evt_1', position: '1-1', type, workspaceId: 'ws_1', runId: 'run_1', at: '2031-01-01T00:00:00.000Z', data };
  const { level, text } = showLogLine(event);
  return `${level} ${text}`;
};

describe('a line of a run’s log', () => {
  it.each<[EventType, KosEvent['data'], string]>([
    ['step.succeeded', { stepPath: 'look', attempt: 2 }, 'info look succeeded (attempt 2)'],
    ['step.succeeded', { stepPath: 'look', reusedFrom: { runId: 'run_2', stepPath: 'find' } }, 'info look succeeded: reused from run_2/find'],
    [
      'step.succeeded',
      { stepPath: 'pay', by: 'prn_1', reason: 'paid by phone', byHand: 'override' },
      'info pay succeeded by hand (override by prn_1): paid by phone',
    ],
    ['step.failed', { stepPath: 'read', error: { code: 'not_found', message: 'it is not there' } }, 'error read failed: it is not there'],
    ['signal.received', { name: 'paid', stepPath: 'wait' }, 'info signal paid received, taken by wait'],
    ['approval.decided', { stepPath: 'ask', decision: 'deny', reason: 'no' }, 'info approval decided: denied at ask: no'],
    ['run.waiting', { waitingFor: { kind: 'timer', text: 'hold waits until noon.' } }, 'info run waiting: hold waits until noon.'],
    ['run.cancelled', { reason: 'enough' }, 'warn run cancelled: enough'],
  ])('of %s says what and why', (type, data, line) => {
    expect(lineOf(type, data)).toBe(line);
  });
});
