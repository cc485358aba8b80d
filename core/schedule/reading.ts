import cronstrue from 'cronstrue';
import type { Calendar, ScheduleSpec } from '#schemas/schedule.ts';
import { expandCron } from './cron.ts';

/** A spec as people say it. What cron can say is said by cronstrue. */
export function readSpec(spec: ScheduleSpec): string {
  const times = [...spec.cron.map(readLine), ...spec.calendars.map(readCalendar), ...spec.intervals.map(readInterval)];
  const byClock = spec.cron.length + spec.calendars.length > 0;
  const parts = [
    `${sentenceOf(times)}${byClock ? `, ${spec.timezone} time` : ''}`,
    spec.except.length === 0 ? null : `except ${spec.except.map(readCalendar).join(' and ')}`,
    spec.jitterMs === 0 ? null : `each up to ${duration(spec.jitterMs)} later`,
    spec.startAt === null ? null : `from ${spec.startAt} on`,
    spec.endAt === null ? null : `until ${spec.endAt}`,
  ];
  const text = parts.filter((part) => part !== null).join('; ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

const sentenceOf = (times: string[]): string => (times.length === 1 ? (times[0] ?? '') : times.map((time) => `${time}`).join('; and '));

const options = { use24HourTimeFormat: true, verbose: false, dayOfWeekStartIndexZero: true } as const;

const lowerFirst = (text: string): string => `${text.charAt(0).toLowerCase()}${text.slice(1)}`;

const readLine = (line: string): string => lowerFirst(cronstrue.toString(expandCron(line) ?? line, options));

const fieldText = (field: Calendar['second'], absent: string): string => {
  if (field === undefined) return absent;
  if (typeof field === 'number') return String(field);
  return field.map((part) => (typeof part === 'number' ? String(part) : `${part.from}-${part.to}${part.step === undefined ? '' : `/${part.step}`}`)).join(',');
};

/** As a cron line with seconds: a calendar says no more than that, but for its years. */
function readCalendar(calendar: Calendar): string {
  const second = fieldText(calendar.second, '0');
  const line = [
    ...(second === '0' ? [] : [second]),
    fieldText(calendar.minute, '0'),
    fieldText(calendar.hour, '0'),
    fieldText(calendar.dayOfMonth, '*'),
    fieldText(calendar.month, '*'),
    fieldText(calendar.dayOfWeek, '*'),
  ].join(' ');
  const both = calendar.dayOfMonth !== undefined && calendar.dayOfWeek !== undefined;
  const words = lowerFirst(cronstrue.toString(line, { ...options, logicalAndDayFields: both }));
  return calendar.year === undefined ? words : `${words}, in ${fieldText(calendar.year, '')}`;
}

function readInterval({ everyMs, offsetMs }: ScheduleSpec['intervals'][number]): string {
  const every = everyMs === 1_000 ? 'every second' : `every ${duration(everyMs)}`;
  return offsetMs === 0 ? every : `${every}, ${duration(offsetMs)} after the full count`;
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;

function duration(ms: number): string {
  const parts: string[] = [];
  let left = ms;
  for (const [name, size] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? '' : 's'}`);
  }
  return parts.join(' ');
}
