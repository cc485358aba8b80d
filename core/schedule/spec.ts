import { type FaultDetail, KosError } from '#core/errors.ts';
import type { Calendar, ScheduleSpec } from '#schemas/schedule.ts';
import { readCron } from './cron.ts';
import { isTimeZone } from './wall-clock.ts';

/** A spec that can be computed: cron lines have become calendars. */
export interface CheckedSpec extends Omit<ScheduleSpec, 'cron'> {
  /** Those of cron lines, too. */
  calendars: Calendar[];
}

/** Throws KosError `schedule_invalid` (422) with every fault. `pointer`: where the spec stands in what was sent. */
export function checkSpec(spec: ScheduleSpec, pointer = '/spec'): CheckedSpec {
  const faults: FaultDetail[] = [];
  const calendars = [...spec.calendars];
  for (const [index, line] of spec.cron.entries()) {
    const read = readCron(line);
    if ('fault' in read) faults.push({ pointer: `${pointer}/cron/${index}`, message: read.fault.message });
    else calendars.push(...read.calendars);
  }
  if (!isTimeZone(spec.timezone))
    faults.push({ pointer: `${pointer}/timezone`, message: `"${spec.timezone}" is not an IANA time zone, such as Europe/Berlin.` });
  if (spec.startAt !== null && spec.endAt !== null && Date.parse(spec.endAt) <= Date.parse(spec.startAt))
    faults.push({ pointer: `${pointer}/endAt`, message: 'It ends before it starts.' });
  if (faults.length > 0) throw invalidSchedule(faults);
  const { cron: _cron, ...rest } = spec;
  return { ...rest, calendars };
}

export const invalidSchedule = (faults: FaultDetail[]): KosError =>
  new KosError({
    code: 'schedule_invalid',
    message: `The schedule has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}: ${faults[0]?.message ?? ''}`,
    fix: 'See what a spec would do: kai schedule preview',
    status: 422,
    details: faults,
  });
