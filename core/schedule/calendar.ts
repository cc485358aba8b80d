import type { Calendar } from '#schemas/schedule.ts';
import type { WallClock } from './wall-clock.ts';

type Field = NonNullable<Calendar['second']>;

/** A calendar with every number that it matches spelled out, in order; `year` null: any. */
export interface OpenedCalendar {
  second: number[];
  minute: number[];
  hour: number[];
  dayOfMonth: ReadonlySet<number>;
  month: ReadonlySet<number>;
  dayOfWeek: ReadonlySet<number>;
  year: ReadonlySet<number> | null;
}

const numbersFrom = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);

function open(field: Field | undefined, absent: number[]): number[] {
  if (field === undefined) return absent;
  if (typeof field === 'number') return [field];
  const all = field.flatMap((part) => (typeof part === 'number' ? [part] : numbersFrom(part.from, part.to, part.step)));
  return [...new Set(all)].toSorted((one, other) => one - other);
}

export const openCalendar = (calendar: Calendar): OpenedCalendar => ({
  second: open(calendar.second, [0]),
  minute: open(calendar.minute, [0]),
  hour: open(calendar.hour, [0]),
  dayOfMonth: new Set(open(calendar.dayOfMonth, numbersFrom(1, 31))),
  month: new Set(open(calendar.month, numbersFrom(1, 12))),
  dayOfWeek: new Set(open(calendar.dayOfWeek, numbersFrom(0, 6))),
  year: calendar.year === undefined ? null : new Set(open(calendar.year, [])),
});

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const minuteMs = 60_000;

const matchesDay = (calendar: OpenedCalendar, localMs: number): boolean => {
  const day = new Date(localMs);
  return (
    calendar.month.has(day.getUTCMonth() + 1) &&
    calendar.dayOfMonth.has(day.getUTCDate()) &&
    calendar.dayOfWeek.has(day.getUTCDay()) &&
    (calendar.year === null || calendar.year.has(day.getUTCFullYear()))
  );
};

export function matchesCalendar(calendar: OpenedCalendar, clock: WallClock, atMs: number): boolean {
  const localMs = atMs + clock.offsetAt(atMs);
  const local = new Date(localMs);
  return (
    matchesDay(calendar, localMs) &&
    calendar.hour.includes(local.getUTCHours()) &&
    calendar.minute.includes(local.getUTCMinutes()) &&
    calendar.second.includes(local.getUTCSeconds())
  );
}

/** As far as Temporal computes. */
const yearAtMost = 2_100;

/** The local times of one day that match, in order, within bounds that count. */
export function* timesOfDay(calendar: OpenedCalendar, day: number, fromLocal: number, untilLocal: number): Generator<number> {
  if (!matchesDay(calendar, day)) return;
  for (const h of calendar.hour) {
    for (const m of calendar.minute) {
      const atMinute = day + h * hourMs + m * minuteMs;
      if (atMinute + minuteMs <= fromLocal || atMinute > untilLocal) continue;
      for (const s of calendar.second) {
        const localMs = atMinute + s * 1_000;
        if (localMs >= fromLocal && localMs <= untilLocal) yield localMs;
      }
    }
  }
}

export const dayOf = (localMs: number): number => Math.floor(localMs / dayMs) * dayMs;

const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();

/**
 * The first matching instant after another one. Null: there is none. It goes the way of Temporal's scheduler (service/worker/scheduler/calendar.go), so that what is
 * foretold here is what happens there, on the days on which clocks are changed too: an hour that comes twice is matched twice where Temporal does so, and times
 * that the clock goes forward over are left out.
 */
export function nextOfCalendar(calendar: OpenedCalendar, clock: WallClock, afterMs: number): number | null {
  const local = new Date(afterMs + clock.offsetAt(afterMs));
  let [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth() + 1, local.getUTCDate()];
  let [hour, minute, second] = [local.getUTCHours(), local.getUTCMinutes(), local.getUTCSeconds() + 1];
  const hourEarlier = afterMs - hourMs;
  let repeatMs = new Date(hourEarlier + clock.offsetAt(hourEarlier)).getUTCHours() === hour ? hourMs : 0;
  const at = (): number => clock.instantOf(Date.UTC(year, month - 1, day, hour, minute, second));
  const atHour = (): number => clock.instantOf(Date.UTC(year, month - 1, day, hour));
  for (;;) {
    if (second >= 60) [minute, second] = [minute + 1, 0];
    if (minute >= 60) {
      const before = atHour();
      [hour, minute] = [hour + 1, 0];
      // The next hour is two hours later: this one comes again.
      const comesAgain = repeatMs === 0 && atHour() - before > hourMs;
      repeatMs = comesAgain ? hourMs : 0;
      if (comesAgain) hour -= 1;
    }
    if (hour >= 24) [day, hour] = [day + 1, 0];
    if (day > daysIn(year, month)) [month, day] = [month + 1, 1];
    if (month > 12) [year, month] = [year + 1, 1];
    if (year > yearAtMost) return null;
    const isYear = calendar.year === null || calendar.year.has(year);
    if (!isYear) [year, month, day, hour, minute, second, repeatMs] = [year + 1, 1, 1, 0, 0, 0, 0];
    else if (!calendar.month.has(month)) [month, day, hour, minute, second, repeatMs] = [month + 1, 1, 0, 0, 0, 0];
    else if (!matchesDay(calendar, Date.UTC(year, month - 1, day))) [day, hour, minute, second, repeatMs] = [day + 1, 0, 0, 0, 0];
    else if (!calendar.hour.includes(hour)) [hour, minute, second, repeatMs] = [hour + 1, 0, 0, 0];
    else if (!calendar.minute.includes(minute)) [minute, second] = [minute + 1, 0];
    else if (!calendar.second.includes(second)) second += 1;
    else {
      const atMs = at();
      if (new Date(atMs + clock.offsetAt(atMs)).getUTCHours() === hour) return atMs + repeatMs;
      [hour, minute, second] = [hour + 1, 0, 0];
    }
  }
}
