import type { SyncOptions } from '#services/schedules/sync.ts';
import { syncSchedules } from '#services/schedules/sync.ts';
import { verifyKnown, watchSchedules } from '#services/schedules/watch.ts';
import { type Duty, repeat } from './repeat.ts';

const idlePauseMs = 500;
const watchEveryMs = 10_000;

/** Tells Temporal what people decide of schedules. A nudge makes it look at once. */
export const startScheduleSync = (options: SyncOptions): Duty =>
  repeat('schedules', options.log, async () => ((await syncSchedules(options)) ? 0 : idlePauseMs));

/** Looks after schedules that run by themselves. */
export function startScheduleWatch(options: SyncOptions): Duty {
  let verified = '';
  return repeat('schedule watch', options.log, async () => {
    await watchSchedules(options);
    verified = await verifyKnown(options, verified);
    return watchEveryMs;
  });
}
