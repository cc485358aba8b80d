import { type Command, InvalidArgumentError } from 'commander';
import type { StartRun } from '#schemas/run.ts';
import { durationArgument, readInstant } from '../times.ts';
import { parsePriority } from './actions.ts';

/** When a run is to start, and by when it must have ended. */
export interface TimeOptions {
  /** ISO 8601. */
  at?: string;
  deadline?: string;
  /** ms. */
  timeLimit?: number;
  priority?: number;
}

export const addTimeOptions = (command: Command): Command =>
  command
    .option('--at <when>', 'accept it now, start it then: 2031-01-31T09:00:00Z, or +90s, +15m, +2h, +3d from now', parseInstant)
    .option('--deadline <when>', 'it must have ended by then', parseInstant)
    .option('--time-limit <duration>', "how long it may take from its start on, instead of the plan's timeoutMs: 90s, 15m, 2h, 3d", durationArgument)
    .option('--priority <number>', '1 is served first, 5 last', parsePriority);

export const timesAsked = ({ at, deadline, timeLimit, priority }: TimeOptions): Pick<StartRun, 'startAt' | 'deadlineAt' | 'timeoutMs' | 'priority'> => ({
  ...(at === undefined ? {} : { startAt: at }),
  ...(deadline === undefined ? {} : { deadlineAt: deadline }),
  ...(timeLimit === undefined ? {} : { timeoutMs: timeLimit }),
  ...(priority === undefined ? {} : { priority }),
});

/** As RFC 3339; a moment from now is made absolute here, so that what was meant is what is sent. */
function parseInstant(text: string): string {
  const instant = readInstant(text, Date.now());
  if (instant === null)
    throw new InvalidArgumentError('It must be an instant with its offset (2031-01-31T09:00:00Z), or a time from now (+90s, +15m, +2h, +3d).');
  return instant;
}
