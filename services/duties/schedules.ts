import type { SyncOptions } from '#services/schedules/sync.ts';
import { syncSchedules } from '#services/schedules/sync.ts';
import { verifyKnown, watchSchedules } from '#services/schedules/watch.ts';
import { leadOf } from './lead.ts';
import { type Duty, repeat } from './repeat.ts';

const idlePauseMs = 500;
const watchEveryMs = 10_000;

/** Tells Temporal what people decide of schedules. A nudge makes it look at once. */
export const startScheduleSync = (options: SyncOptions): Duty =>
  repeat('schedules', options.log, async () => ((await syncSchedules(options)) ? 0 : idlePauseMs));

/** Looks after schedules that run by themselves: one process does so for all. */
export function startScheduleWatch(options: SyncOptions): Duty {
  const lead = leadOf(options.system, 'schedule watch');
  let verified = '';
  return repeat('schedule watch', options.log, async () => {
    if (!(await lead())) return watchEveryMs;
    await watchSchedules(options, lead);
    verified = await verifyKnown(options, verified);
    return watchEveryMs;
  });
}
