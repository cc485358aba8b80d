import type { DueTime } from '#schemas/schedule.ts';
import { dayOf, matchesCalendar, nextOfCalendar, type OpenedCalendar, openCalendar, timesOfDay } from './calendar.ts';
import type { CheckedSpec } from './spec.ts';
import { type WallClock, wallClock } from './wall-clock.ts';

interface Opened {
  clock: WallClock;
  calendars: OpenedCalendar[];
  except: OpenedCalendar[];
  spec: CheckedSpec;
}

const opened = (spec: CheckedSpec): Opened => ({
  clock: wallClock(spec.timezone),
  calendars: spec.calendars.map(openCalendar),
  except: spec.except.map(openCalendar),
  spec,
});

/** Nobody plans further: a spec that matches nothing but what it excepts must end somewhere. */
const triesAtMost = 10_000;

/** When a spec is due, after an instant (not at it) and up to another one, at most so many, in order. Jitter is not in it: these are the times that starts are named after. */
export function dueTimes(checked: CheckedSpec, afterMs: number, untilMs: number, atMost: number): number[] {
  const spec = opened(checked);
  const times: number[] = [];
  let from = Math.max(afterMs, checked.startAt === null ? afterMs : Date.parse(checked.startAt) - 1);
  const until = checked.endAt === null ? untilMs : Math.min(untilMs, Date.parse(checked.endAt));
  for (let tries = 0; times.length < atMost && tries < triesAtMost + atMost; tries += 1) {
    const next = nextOf(spec, from);
    if (next === null || next > until) break;
    if (!spec.except.some((calendar) => matchesCalendar(calendar, spec.clock, next))) times.push(next);
    from = next;
  }
  return times;
}

function nextOf({ calendars, clock, spec }: Opened, afterMs: number): number | null {
  const ofCalendars = calendars.map((calendar) => nextOfCalendar(calendar, clock, afterMs));
  const ofIntervals = spec.intervals.map(({ everyMs, offsetMs }) => (Math.floor((afterMs - offsetMs) / everyMs) + 1) * everyMs + offsetMs);
  return [...ofCalendars, ...ofIntervals].reduce<number | null>((least, time) => (time === null || (least !== null && least <= time) ? least : time), null);
}

/** The next times as people read them, with what the change of clocks does to them. Times that the clock leaves out stand between the others. */
export function describeDueTimes(checked: CheckedSpec, afterMs: number, count: number, untilMs = Number.MAX_SAFE_INTEGER): DueTime[] {
  const times = dueTimes(checked, afterMs, untilMs, count);
  const { clock, calendars } = opened(checked);
  const shown = times.map((atMs, index) => ({ order: atMs, due: describeTime(clock, atMs, times[index - 1] ?? afterMs, times) }));
  const gaps = gapsBetween(clock, calendars, afterMs, times.at(-1) ?? afterMs);
  return [...shown, ...gaps].toSorted((one, other) => one.order - other.order).map(({ due }) => due);
}

const hourMs = 3_600_000;

function describeTime(clock: WallClock, atMs: number, previousMs: number, times: readonly number[]): DueTime {
  const offset = clock.offsetAt(atMs);
  const local = `${new Date(atMs + offset).toISOString().slice(0, 19)}${offsetText(offset)}`;
  return { at: new Date(atMs).toISOString(), local, dst: changeAt(clock, atMs, previousMs, times) };
}

function changeAt(clock: WallClock, atMs: number, previousMs: number, times: readonly number[]): string | null {
  const offset = clock.offsetAt(atMs);
  const twin = [-1, 1].map((sign) => atMs + sign * hourMs).find((other) => clock.offsetAt(other) + other === offset + atMs);
  if (twin !== undefined) return `Clocks show this time twice that day: ${times.includes(twin) ? 'it is due both times' : 'it is due this once'}.`;
  const before = clock.offsetAt(previousMs);
  if (before === offset) return null;
  return `Clocks go ${offset > before ? 'forward' : 'back'} before it: from ${offsetText(before)} to ${offsetText(offset)}.`;
}

const gapsAtMost = 100;

/** Times of the calendars that the clock goes forward over in between. */
function gapsBetween(clock: WallClock, calendars: OpenedCalendar[], afterMs: number, untilMs: number): { order: number; due: DueTime }[] {
  const gaps = new Map<number, { order: number; due: DueTime }>();
  for (const { atMs, localFrom, localUntil } of forwardChanges(clock, afterMs, untilMs)) {
    for (const calendar of calendars) {
      for (const localMs of timesOfDay(calendar, dayOf(localFrom), localFrom, localUntil)) {
        if (gaps.size >= gapsAtMost) return [...gaps.values()];
        const local = new Date(localMs).toISOString().slice(0, 19);
        gaps.set(localMs, { order: atMs - 1, due: { at: null, local, dst: 'Clocks go forward over this time that day: it is not due.' } });
      }
    }
  }
  return [...gaps.values()];
}

interface Forward {
  atMs: number;
  localFrom: number;
  localUntil: number;
}

const dayMs = 24 * hourMs;
const changesAtMost = 40;

/** Where clocks go forward between two instants. */
function forwardChanges(clock: WallClock, afterMs: number, untilMs: number): Forward[] {
  const changes: Forward[] = [];
  for (let day = afterMs; day < untilMs && changes.length < changesAtMost && day < afterMs + 4_000 * dayMs; day += dayMs) {
    if (clock.offsetAt(day + dayMs) <= clock.offsetAt(day)) continue;
    const atMs = instantOfChange(clock, day, day + dayMs);
    if (atMs >= untilMs) break;
    changes.push({ atMs, localFrom: atMs + clock.offsetAt(atMs - 1_000), localUntil: atMs + clock.offsetAt(atMs) - 1 });
  }
  return changes;
}

function instantOfChange(clock: WallClock, fromMs: number, toMs: number): number {
  let [low, high] = [Math.floor(fromMs / 1_000), Math.ceil(toMs / 1_000)];
  const before = clock.offsetAt(fromMs);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (clock.offsetAt(middle * 1_000) === before) low = middle;
    else high = middle;
  }
  return high * 1_000;
}

const offsetText = (offsetMs: number): string => {
  const minutes = Math.round(Math.abs(offsetMs) / 60_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${offsetMs < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
};
